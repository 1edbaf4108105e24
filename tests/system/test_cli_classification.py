"""`imagesearch classify`, `identify`, `tag` and `label-sets`, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from imagesearch_cli.main import app
from imagesearch_dev.drawings import draw
from tests.helpers import encoded
from tests.services.test_classification import held_out
from tests.system.conftest import System, free_port

pytestmark = pytest.mark.timeout(120)

DRAWINGS = held_out(16, seed=12)
STAR = 3
"""Number of a drawing of a star."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawings, two of each shape."""
    made = tmp_path_factory.mktemp("drawings")
    for number, drawing in enumerate(DRAWINGS):
        (made / f"{number:02}.png").write_bytes(encoded(draw(drawing, 128), "PNG"))
    return made


def imagesearch(address: str, *arguments: str | Path, code: int = 0) -> Result:
    """Runs the command in this process: its start would cost more than its work."""
    done = CliRunner(env={"IMAGESEARCH_GATEWAY": address, "COLUMNS": "200"}).invoke(
        app, [str(each) for each in arguments]
    )
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def indexed(system: System, folder: Path, new_index: str) -> str:
    imagesearch(system.gateway, "index", folder, "--index", new_index, "--tag", "mine")
    return new_index


def test_classify(system: System, folder: Path, tmp_path: Path) -> None:
    star = folder / f"{STAR:02}.png"
    lines = tmp_path / "labels.txt"
    lines.write_text("# shapes\nstar | a star | 一个星星\nring | a ring\nheart\n", encoding="utf-8")
    for choice in (
        ("--label-set", "drawings"),
        ("--labels-file", str(lines), "--template", "{}"),
        ("--label", "star", "--label", "ring", "--label", "moon", "--template", "a {}"),
    ):
        answer = json.loads(imagesearch(system.gateway, "classify", star, *choice, "--json").stdout)
        assert answer["labels"][0]["name"] == "star"

    table = imagesearch(
        system.gateway, "classify", star, "--label-set", "drawings", "--lang", "zh"
    ).stdout
    assert "星星 (star)" in table.splitlines()[1]
    assert "unknown" in table


def test_label_sets_come_out_as_they_go_in(system: System, folder: Path, tmp_path: Path) -> None:
    listed = imagesearch(system.gateway, "label-sets").stdout
    assert "insects" in listed
    assert "瓢虫" in imagesearch(system.gateway, "label-sets", "insects").stdout

    file = tmp_path / "labels.json"
    file.write_text(
        imagesearch(system.gateway, "label-sets", "drawings", "--json").stdout, encoding="utf-8"
    )
    star = folder / f"{STAR:02}.png"
    one, other = [
        json.loads(imagesearch(system.gateway, "classify", star, *choice, "--json").stdout)
        for choice in (("--labels-file", file), ("--label-set", "drawings"))
    ]
    assert one == other


def test_tag_and_then_identify_by_those_tags(
    system: System, folder: Path, indexed: str, tmp_path: Path
) -> None:
    named = ("--index", indexed, "--label-set", "drawings")
    state = tmp_path / "state"

    dry = imagesearch(system.gateway, "tag", *named, "--dry-run", "--json").stdout
    written = imagesearch(system.gateway, "tag", *named, "--state", state).stdout

    answers: list[dict[str, Any]] = [json.loads(line) for line in dry.splitlines()]
    assert len(answers) == len(DRAWINGS)
    assert {answer["total_count"] for answer in answers} == {str(len(DRAWINGS))}
    assert "star" in written
    assert not state.exists()
    tagged = imagesearch(
        system.gateway, "search", "--text", "star", "--tag", "star", "--index", indexed, "--json"
    )
    assert 1 <= len(json.loads(tagged.stdout)["results"]) <= 3

    by_tags = imagesearch(
        system.gateway, "identify", folder / f"{STAR:02}.png", "--index", indexed, "--json"
    )
    answer = json.loads(by_tags.stdout)
    assert len(answer["neighbors"]) == len(DRAWINGS)
    assert {"star", "mine"} <= {each["name"] for each in answer["labels"]}
    shown = imagesearch(
        system.gateway, "identify", folder / f"{STAR:02}.png", "--index", indexed, *named[2:]
    )
    assert f"{STAR:02}.png" in shown.stdout


def test_tag_goes_on_where_it_was(system: System, indexed: str, tmp_path: Path) -> None:
    named = ("--index", indexed, "--label-set", "drawings", "--json")
    state = tmp_path / "state"
    lines = imagesearch(system.gateway, "tag", *named).stdout.splitlines()
    state.write_text(json.loads(lines[9])["resume_token"])

    rest = imagesearch(system.gateway, "tag", *named, "--state", state).stdout.splitlines()

    assert [json.loads(line)["image_id"] for line in rest] == [
        json.loads(line)["image_id"] for line in lines[10:]
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("classify", "--label", "a"), 2, "exactly one of FILE"),
        (("classify", "FILE"), 2, "exactly one of --label"),
        (("classify", "FILE", "--label", "a", "--label-set", "b"), 2, "exactly one of --label"),
        (("classify", "FILE", "--label-set", "b", "--template", "{}"), 2, "--template"),
        (("classify", "FILE", "--label", "a", "--label", "a"), 1, "labels.labels[1].name"),
        (("classify", "FILE", "--label-set", "none"), 1, "no label set"),
        (("classify", "FILE", "--label", "a", "--region", "x"), 1, "no region"),
        (("classify", "FILE", "--labels-file", "BAD.json"), 1, "BAD.json"),
        (("identify", "FILE", "--neighbors", "0"), 1, "neighbor_count"),
        (("identify", "FILE", "--label-field", "x"), 1, "label_field"),
        (("label-sets", "none"), 1, "no label set"),
        (("tag", "--label", "a"), 2, "--index"),
        (("tag", "--index", "no-such-index", "--label", "a"), 1, "no-such-index"),
        (("tag", "--index", "x", "--label", "a", "--state", "BAD"), 1, "resume_token"),
    ],
)
def test_mistakes_are_said_in_words(
    system: System, folder: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    bad = tmp_path / "bad"
    bad.write_text("nonsense")
    (tmp_path / "BAD.json").write_text("{")
    places = {
        "FILE": str(folder / "00.png"),
        "BAD": str(bad),
        "BAD.json": str(tmp_path / "BAD.json"),
    }

    done = imagesearch(system.gateway, *(places.get(word, word) for word in arguments), code=code)

    assert said in done.stderr


def test_a_gateway_that_is_away_has_a_code_of_its_own() -> None:
    done = imagesearch(f"127.0.0.1:{free_port()}", "label-sets", code=3)

    assert "No gateway answers" in done.stderr
