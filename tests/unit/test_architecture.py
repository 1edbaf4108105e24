"""Who may import whom: services know each other by their contracts alone."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGES: dict[str, set[str]] = {
    "service_kit": set(),
    "fetch_kit": set(),
    "image_kit": {"service_kit"},
    "embedder_service": {"service_kit", "image_kit"},
    "search_service": {"service_kit", "image_kit"},
    "gateway": {"service_kit", "image_kit", "fetch_kit"},
    "imagesearch_client": {"service_kit"},
    "imagesearch_collect": {"service_kit", "image_kit", "fetch_kit"},
    "imagesearch_ingest": {"service_kit", "image_kit", "imagesearch_client"},
    "imagesearch_doctor": {"service_kit", "image_kit", "imagesearch_client"},
    "imagesearch_cli": {
        *("service_kit", "image_kit", "fetch_kit", "imagesearch_client"),
        *("imagesearch_collect", "imagesearch_doctor", "imagesearch_ingest"),
    },
    "jobs": {
        *("service_kit", "image_kit", "imagesearch_client", "imagesearch_ingest"),
        *("embedder_service", "gateway"),
    },
    "imagesearch_web": {"service_kit", "image_kit", "imagesearch_client"},
}
"""What each package may import of ours, besides itself and the contracts."""

STUBS: dict[str, set[str]] = {
    "service_kit": {"common"},
    "fetch_kit": set(),
    "image_kit": set(),
    "embedder_service": {"embedder", "common"},
    "search_service": {"search", "common"},
    "gateway": {"gateway", "embedder", "search", "common"},
    "imagesearch_client": {"gateway", "common"},
    "imagesearch_collect": set(),
    "imagesearch_ingest": {"gateway", "search", "common"},
    "imagesearch_doctor": {"gateway", "embedder", "search", "common"},
    "imagesearch_cli": {"gateway", "common"},
    "jobs": {"search", "common"},
    "imagesearch_web": {"gateway", "common"},
}
"""Which contracts each package may know."""

OWNER = {
    "torch": {"embedder_service"},
    "transformers": {"embedder_service"},
    "openvino": {"embedder_service"},
    "sentence_transformers": {"embedder_service"},
    "elasticsearch": {"search_service"},
    "scrapy": {"imagesearch_collect"},
}
"""Heavy libraries, and who uses them."""

OURS = {*PACKAGES, "benchmarks", "imagesearch_dev", "tests"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(module: Path) -> set[str]:
    """Full names of what a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    for module in modules(package):
        top = {name.split(".")[0] for name in imports(module)}
        foreign = (top & OURS) - {package} - PACKAGES[package]
        assert not foreign, f"{module.relative_to(ROOT)} imports {foreign}"


@pytest.mark.parametrize("package", STUBS)
def test_packages_know_only_their_contracts(package: str) -> None:
    for module in modules(package):
        known = {name.split(".")[1] for name in imports(module) if name.startswith("imagesearch.")}
        assert known <= STUBS[package], f"{module.relative_to(ROOT)} imports {known}"


@pytest.mark.parametrize("package", PACKAGES)
def test_heavy_libraries_stay_with_their_owner(package: str) -> None:
    for module in modules(package):
        top = {name.split(".")[0] for name in imports(module)} & OWNER.keys()
        strangers = {name for name in top if package not in OWNER[name]}
        assert not strangers, f"{module.relative_to(ROOT)} imports {strangers}"


def test_every_file_of_ours_is_known_here() -> None:
    """A new package must say what it may import."""
    found = {file.parent.name for file in ROOT.glob("*/__init__.py")}

    assert found <= OURS
