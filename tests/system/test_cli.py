"""The `imagesearch` command: what it prints, how it ends, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import a_picture
from tests.system.conftest import System, free_port

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures in folders, one of them twice, and things that are none."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for number, name in enumerate(("a.png", "b.PNG", "deep/c.png", "deep/er/十字.png")):
        (tmp_path / name).write_bytes(a_picture(number))
    (tmp_path / "deep" / "a-again.png").write_bytes(a_picture(0))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden" / "x.png").write_bytes(a_picture(9))
    return tmp_path


def imagesearch(
    system: System | None, *arguments: str | Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Runs the command as a person does."""
    gateway = f"127.0.0.1:{free_port()}" if system is None else system.gateway
    done = subprocess.run(
        [sys.executable, "-m", "imagesearch_cli", *map(str, arguments)],
        env={**os.environ, "IMAGESEARCH_GATEWAY": gateway, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_index_search_status(system: System, folder: Path, new_index: str) -> None:
    named = ("--index", new_index)

    first = printed(imagesearch(system, "index", folder, *named, "--json", "--tag", "mine"))
    again = imagesearch(system, "index", folder, *named)

    assert (first["stored"], first["created"], first["merged"]) == (5, 4, 1)
    assert first["refused"] == []
    assert "5" in again.stdout
    assert "unchanged" in again.stdout

    found = printed(imagesearch(system, "search", folder / "a.png", *named, "-k", "2", "--json"))
    assert len(found["results"]) == 2
    assert found["results"][0]["score"] == pytest.approx(1, abs=1e-3)
    image = found["results"][0]["image"]
    paths = {source["relative_path"] for source in image["sources"]}
    assert paths == {"a.png", "deep/a-again.png"}

    by_id = imagesearch(system, "search", "--id", image["image_id"], *named)
    assert image["relative_path"] in by_id.stdout
    by_text = imagesearch(system, "search", "--text", "两个红色的圆", *named)
    assert "十字.png" in by_text.stdout
    tagged = ("search", "--text", "red", *named, "--json", "--tag", "mine", "--tag", "other")
    assert "results" not in printed(imagesearch(system, *tagged))

    status = printed(imagesearch(system, "status", *named, "--json"))
    assert status["index"]["document_count"] == "4"
    assert "embedder_service" in imagesearch(system, "status", *named).stdout


def test_compose(system: System, folder: Path, new_index: str) -> None:
    """Terms with weights, pages, relevance, folding and explanations, as tables and as JSON."""
    named = ("--index", new_index)
    imagesearch(system, "index", folder, *named)

    found = printed(
        imagesearch(
            system,
            "compose",
            folder / "a.png",
            "0.3:red",
            "-people",
            *named,
            "--json",
            "--relevance",
            "--explain",
            "--page-size",
            "2",
        )
    )
    assert len(found["results"]) == 4  # pages are joined
    assert "next_page_token" not in found
    # The same bytes under two names are one document; which name came first is a race.
    assert found["results"][0]["image"]["image_name"] in ("a.png", "a-again.png")
    for result in found["results"]:
        given = sum(each["contribution"] for each in result["explanation"])
        assert given == pytest.approx(result["score"], abs=2e-3)
    assert found["background"]["sample_size"] == 4

    table = imagesearch(
        system, "compose", "red", "-0.5:blue", *named, "--explain", "--fold", "--all"
    )
    assert "-0.5:blue" in table.stdout
    nothing = imagesearch(
        system, "search", "--text", "stock market news", *named, "--min-relevance", "0.5"
    )
    assert "Nothing here matches" in nothing.stdout
    faceted = imagesearch(
        system, "search", folder / "a.png", *named, "--region", "0,0,50%,50%", "--facet", "format"
    )
    assert "format: PNG 4" in faceted.stdout
    wrong = imagesearch(system, "compose", "0:red", *named, code=1)
    assert "weight" in wrong.stderr


def test_images_that_are_refused_are_named_and_the_others_stored(
    system: System, folder: Path, new_index: str
) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "empty.png").touch()
    (folder / "large.png").write_bytes(b"\x89PNG" + b"\0" * (21 * 1024 * 1024))
    (folder / "gone.png").symlink_to("nowhere")
    not_unicode = os.fsdecode(b"caf\xe9.png")
    (folder / not_unicode).write_bytes(a_picture(4))

    report = printed(imagesearch(system, "index", folder, "--index", new_index, "--json", code=1))

    assert report["stored"] == 6
    reasons = {refused["relative_path"]: refused["reason"] for refused in report["refused"]}
    assert reasons.keys() == {"broken.jpg", "empty.png", "large.png", "gone.png"}
    assert all(reasons.values())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("search",), 2, "exactly one of"),
        (("search", "--text", "a", "--id", "b"), 2, "exactly one of"),
        (("search", "no-such-file.png"), 2, "does not exist"),
        (("search", "--text", "a", "-k", "0", "--index", "INDEX"), 1, "k:"),
        (("search", "--text", "a", "--index", "no-such-index"), 1, "no-such-index"),
        (("search", "--text", "a", "--index", "NO"), 1, "index:"),
        (("index", "no-such-folder"), 2, "does not exist"),
    ],
)
def test_mistakes_are_said_in_words(
    system: System, folder: Path, new_index: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    if "INDEX" in arguments:  # one that is there
        imagesearch(system, "index", folder, "--index", new_index)
        arguments = tuple(new_index if word == "INDEX" else word for word in arguments)

    done = imagesearch(system, *arguments, code=code)

    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("search", "--text", "a"), ("status",), ("index", ".")])
def test_a_gateway_that_is_away_has_a_code_of_its_own(
    command: tuple[str, ...], folder: Path
) -> None:
    arguments = [folder if word == "." else word for word in command]

    done = imagesearch(None, *arguments, code=3)

    assert "No gateway answers at" in done.stderr
    assert "make run" in done.stderr


def test_help_tells_of_every_command() -> None:
    assert all(word in imagesearch(None, "--help").stdout for word in ("index", "search", "status"))
    assert "--text" in imagesearch(None, "search", "--help").stdout
