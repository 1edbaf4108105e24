"""Dockerfiles and compose file, as far as they can be checked without an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.test_architecture import OWNER, PACKAGES, imports, modules

ROOT = Path(__file__).resolve().parents[2]

SERVICES = ("embedder_service", "gateway", "imagesearch_web", "search_service")


def dockerfile(service: str) -> str:
    return (ROOT / "docker" / f"{service}.Dockerfile").read_text()


def packages_needed(package: str) -> set[str]:
    """A package of ours, and all that it imports of ours, directly or not."""
    needed = {package}
    for module in modules(package):
        for name in {name.split(".")[0] for name in imports(module)}:
            if name in PACKAGES and name not in needed:
                needed |= packages_needed(name)
    return needed


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_the_packages_its_service_imports_and_no_other(service: str) -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", dockerfile(service), re.MULTILINE))

    assert copied == {"protos"} | packages_needed(service)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_built_from_what_the_context_lets_through(service: str) -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    for names in re.findall(r"^COPY (.+) \S+$", dockerfile(service), re.MULTILINE):
        assert set(names.split()) <= allowed
        assert all((ROOT / name).exists() for name in names.split())


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_runs_as_nobody_in_particular(service: str) -> None:
    assert "USER 65532" in dockerfile(service)
    assert f'ENTRYPOINT ["python", "-m", "{service}"]' in dockerfile(service)


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content["services"]


def test_every_part_has_a_health_check() -> None:
    assert all("healthcheck" in service for service in compose().values())


def test_the_gpu_is_reserved_for_the_embedder_alone() -> None:
    reserving = {name for name, service in compose().items() if "deploy" in service}

    assert reserving == {"embedder_service_gpu"}
    assert set(OWNER["torch"]) == {"embedder_service"}


@pytest.mark.parametrize("service", SERVICES)
def test_settings_in_compose_are_settings(service: str) -> None:
    """A name that no setting has would be passed over in silence."""
    prefix = {
        "embedder_service": "EMBEDDER_",
        "gateway": "GATEWAY_",
        "imagesearch_web": "WEB_",
        "search_service": "SEARCH_",
    }
    text = (ROOT / service / "settings.py").read_text()
    kit = (ROOT / "service_kit" / "settings.py").read_text()
    for name in compose()[service]["environment"]:
        if name.startswith(prefix[service]):
            setting = name.removeprefix(prefix[service]).lower()
            assert re.search(rf"^    {setting}: ", text + kit, re.MULTILINE), name
