"""`imagesearch versions`, `source` and `duplicates`."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from imagesearch_dev.samples import photos
from tests.conftest import ROOT
from tests.system.conftest import System
from tests.system.test_cli import imagesearch, printed

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, and two other forms of the one."""
    cat, rocket = (photos()[name] for name in ("chelsea.png", "rocket.jpg"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    cat.save(folder / "cat.png")
    cat.resize((cat.width // 2, cat.height // 2), Image.Resampling.LANCZOS).save(
        folder / "small.jpg", quality=90
    )
    ImageOps.mirror(cat).save(folder / "mirrored.jpg", quality=90)
    rocket.save(folder / "rocket.jpg")
    return folder


def test_versions_source_duplicates(
    system: System, folder: Path, new_index: str, tmp_path: Path
) -> None:
    named = ("--index", new_index)
    imagesearch(system, "index", folder, *named)

    found = printed(imagesearch(system, "versions", folder / "cat.png", *named, "--json"))
    relations = {v["image"]["image_name"]: v["relation"] for v in found["versions"]}
    assert relations == {
        "cat.png": "RELATION_IDENTICAL_BYTES",
        "small.jpg": "RELATION_RESIZED",
        "mirrored.jpg": "RELATION_MIRRORED",
    }
    shown = imagesearch(system, "versions", folder / "cat.png", *named).stdout
    assert "mirrored.jpg" in shown
    assert "identical bytes" in shown
    assert "rocket" not in shown
    none = imagesearch(system, "versions", folder / "rocket.jpg", *named, "--min-confidence", "1")
    assert "identical bytes" in none.stdout

    source = imagesearch(system, "source", folder / "small.jpg", *named).stdout
    assert "cat.png" in source
    assert "Largest: cat.png" in source

    report = tmp_path / "groups.csv"
    scan = imagesearch(system, "duplicates", *named, "--csv", report)
    assert "1 groups of 3 images" in scan.stdout
    with report.open(encoding="utf-8", newline="") as file:
        rows = {row["relative_path"]: row for row in csv.DictReader(file)}
    assert {path: row["keep"] for path, row in rows.items()} == {
        "cat.png": "yes",
        "small.jpg": "no",
        "mirrored.jpg": "no",
    }
    assert rows["small.jpg"]["relation"] == "resized"

    asked = imagesearch(system, "duplicates", *named, "--delete", code=1)  # nobody answers
    assert "Delete 2 images" in asked.stderr
    done = imagesearch(system, "duplicates", *named, "--delete", "--yes", "--json")
    assert printed(done)["summary"]["group_count"] == "1"
    assert "2 images deleted" in done.stderr
    left = printed(imagesearch(system, "duplicates", *named, "--json"))
    assert left["groups"] == []
    kept = imagesearch(system, "versions", folder / "small.jpg", *named).stdout
    assert "cat.png" in kept


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("versions",), 2, "exactly one of"),
        (("source", "--id", "a", "--url", "b"), 2, "exactly one of"),
        (("versions", "--id", "a"), 1, "image_id:"),
        (("duplicates", "--index", "no-such-index"), 1, "no-such-index"),
        (("duplicates", "--resume", "nothing"), 1, "scan_id:"),
        (("duplicates", "--resume", "0" * 32, "--index", "INDEX"), 1, "no scan"),
        (("duplicates", "--neighbors", "1000"), 1, "max_neighbors:"),
        (("duplicates", "--keep", "best"), 2, "best"),
    ],
)
def test_mistakes_are_said_in_words(
    system: System, folder: Path, new_index: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    if "INDEX" in arguments:
        imagesearch(system, "index", folder, "--index", new_index)
        arguments = tuple(new_index if word == "INDEX" else word for word in arguments)

    done = imagesearch(system, *arguments, code=code)

    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_examples_of_the_page_work(system: System, folder: Path) -> None:
    """With grpcurl as a person has it; in the default index."""
    if grpcurl_folder() is None:
        pytest.skip("grpcurl is not installed")
    imagesearch(system, "index", folder)
    (folder / "photo.jpg").write_bytes((folder / "small.jpg").read_bytes())
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```\n(.*?)```", page, re.S) if "grpcurl" in block]
    script = "\n".join(["set -e", *blocks])
    for port, name in (("50050", "gateway"), ("50052", "search_service")):
        script = script.replace(f"127.0.0.1:{port}", system.services[name].address)

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{grpcurl_folder()}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for word in ("RELATION_MIRRORED", "earliest_at", "keep_image_id", '"summary"'):
        assert word in done.stdout


def grpcurl_folder() -> Path | None:
    found = shutil.which("grpcurl") or shutil.which("grpcurl", path=Path.home() / "go" / "bin")
    return Path(found).parent if found else None
