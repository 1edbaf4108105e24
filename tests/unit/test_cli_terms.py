"""What people write for terms and regions, and which words are options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagesearch_cli import compose, main
from imagesearch_cli.connection import CliError
from imagesearch_cli.terms import read_region, read_term


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("written", "source", "value", "weight"),
    [
        ("photo.jpg", "image", b"photo", 1),
        ("+photo.jpg", "image", b"photo", 1),
        ("-0.3:photo.jpg", "image", b"photo", -0.3),
        ("text:photo.jpg", "text", "photo.jpg", 1),
        ("-text:photo.jpg", "text", "photo.jpg", -1),
        ("nothing.jpg", "text", "nothing.jpg", 1),
        ("+at night", "text", "at night", 1),
        ("-people", "text", "people", -1),
        ("0.5:red", "text", "red", 0.5),
        (".5: red", "text", "red", 0.5),
        ("+2:red", "text", "red", 2),
        ("12:30 at the station", "text", "30 at the station", 12),
        ("text:12:30 at the station", "text", "12:30 at the station", 1),
        ("id:" + "a" * 64, "image_id", "a" * 64, 1),
        ("https://example.org/a.png", "url", "https://example.org/a.png", 1),
        ("-三个圆环", "text", "三个圆环", -1),
        ("someone@example.org", "text", "someone@example.org", 1),
    ],
)
def test_terms(written: str, source: str, value: Any, weight: float) -> None:
    read = read_term(written)

    assert read.WhichOneof("source") == source
    assert getattr(read, source) == value
    assert read.weight == pytest.approx(weight)


def test_regions() -> None:
    half = read_term("photo.jpg@0,0,50%,100%")
    part = read_term("-0.5:photo.jpg@10,20,300x200")
    stored = read_term("id:" + "a" * 64 + "@0,0,10%,10%")

    assert (half.region.box.left, half.region.box.right) == (0, 0.5)
    assert half.region.box.bottom == 1
    pixels = part.region.pixels
    assert (pixels.left, pixels.top, pixels.width, pixels.height) == (10, 20, 300, 200)
    assert (part.image, part.weight) == (b"photo", -0.5)
    assert stored.image_id == "a" * 64
    assert stored.HasField("region")


@pytest.mark.parametrize("written", ["", "-", "+", "0:red", "0.5:", "photo.jpg@left"])
def test_what_is_no_term_is_said(written: str) -> None:
    with pytest.raises(CliError):
        read_term(written)


@pytest.mark.parametrize("written", ["", "1,2,3", "1,2,3,4", "1,2,3x", "a,b,c%,d%"])
def test_what_is_no_region_is_said(written: str) -> None:
    with pytest.raises(CliError, match="region"):
        read_region(written)


@pytest.mark.parametrize(
    ("words", "terms", "k"),
    [
        (["photo.jpg", "+at night", "-people"], ["photo.jpg", "+at night", "-people"], 10),
        (["-kitchen", "red", "-k", "3"], ["-kitchen", "red"], 3),
        (["-k3", "-skyline", "--min-score", "-0.2", "red"], ["-skyline", "red"], 3),
        (["red", "--", "-k", "--fold"], ["red", "-k", "--fold"], 10),
    ],
)
def test_a_word_with_one_dash_is_a_term(
    monkeypatch: pytest.MonkeyPatch, words: list[str], terms: list[str], k: int
) -> None:
    seen: list[Any] = []

    async def show(read: Any, wanted: Any, *_: Any) -> None:
        seen.append((list(wanted.names), wanted.options["k"], len(read())))

    monkeypatch.setattr(compose, "show", show)

    done = CliRunner().invoke(main.app, ["compose", *words])

    assert done.exit_code == 0, done.output
    assert seen == [(terms, k, len(terms))]
