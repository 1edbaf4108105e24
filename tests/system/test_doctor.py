"""`imagesearch doctor` as a person runs it, on processes that are killed under it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagesearch_dev.elasticsearch.node import free_port
from tests.helpers import a_picture
from tests.system.conftest import System
from tests.system.test_cli import imagesearch, printed

pytestmark = pytest.mark.timeout(180)


def test_a_system_that_is_well(system: System, new_index: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(a_picture(1))
    imagesearch(system, "index", tmp_path, "--index", new_index)
    addresses = ("--embedder", system.services["embedder_service"].address)
    addresses += ("--search", system.services["search_service"].address)
    addresses += ("--elasticsearch", system.elasticsearch.url)

    table = imagesearch(system, "doctor", "--index", new_index, *addresses, "--write")
    report = printed(imagesearch(system, "doctor", "--index", new_index, "--json"))
    brief = imagesearch(system, "doctor", "--index", new_index, "--brief")

    assert "0 problem(s)" in table.stdout
    assert "deleted" in table.stdout
    assert report["problems"] == 0
    assert {"check", "level", "subject", "what", "advice"} == report["findings"][0].keys()
    assert "SERVING" in table.stdout
    assert "SERVING" not in brief.stdout


def test_an_embedder_that_was_killed_is_named(system: System) -> None:
    system.kill("embedder_service")
    try:
        system.wait_until(False)
        address = system.services["embedder_service"].address
        done = imagesearch(system, "doctor", "--embedder", address, "--timeout", "5", code=1)
    finally:
        system.start("embedder_service")
        system.wait_until(True)

    assert f"nobody listens on {address}" in done.stdout
    assert "embedder_service does not answer" in done.stdout
    assert "→ start it, or correct GATEWAY_EMBEDDER" in done.stdout


def test_an_elasticsearch_that_was_killed_is_named(system: System) -> None:
    system.kill("elasticsearch")
    try:
        system.wait_until(False)
        done = imagesearch(system, "doctor", "--timeout", "5", code=1)
    finally:
        system.start("elasticsearch")
        system.wait_until(True)

    assert "search_service says: Elasticsearch does not answer" in done.stdout
    assert "ELASTICSEARCH_URL" in done.stdout


def test_an_elasticsearch_that_hangs_hangs_nobody(system: System) -> None:
    with system.elasticsearch.paused():
        done = imagesearch(system, "doctor", "--timeout", "3", "--write", code=1)
    system.wait_until(True)

    assert "problem" in done.stdout


def test_a_gateway_that_is_away_is_a_problem_and_no_traceback() -> None:
    port = free_port()
    done = imagesearch(None, "doctor", "--gateway", f"127.0.0.1:{port}", "--timeout", "2", code=1)

    assert f"nobody listens on 127.0.0.1:{port}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tls-ca", "no-such-file.pem"), "cannot be read"),
        (("--tls-certificate", "FILE"), "needs its private key"),
        (("--tls-ca", "FILE"), "has no certificate in PEM"),
    ],
)
def test_a_wrong_command_has_the_status_of_one(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "file.pem").write_text("no certificate")
    given = [tmp_path / "file.pem" if each == "FILE" else each for each in arguments]

    done = imagesearch(None, *given, "doctor", code=2)

    assert said in " ".join(done.stderr.split())
