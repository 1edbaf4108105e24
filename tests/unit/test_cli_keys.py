"""`imagesearch keys`: makes keys that services take, shows their secrets once, takes them back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from imagesearch_cli.main import app
from service_kit.identity import keys_file
from service_kit.identity.errors import UnauthenticatedError
from service_kit.identity.key_ring import KeyRing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def run(file: Path, *arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(
        app, ["keys", *arguments], env={"IMAGESEARCH_KEYS_FILE": str(file), "COLUMNS": "200"}
    )
    assert done.exit_code == code, done.output
    return done


def test_a_made_key_is_taken_until_it_is_revoked(file: Path) -> None:
    key = run(file, "create", "someone").stdout.strip()
    ring = KeyRing(keys_file.read(file))
    caller = ring.caller_of(key)

    run(file, "revoke", caller.id.removeprefix("key:"))
    ring.replace(keys_file.read(file))

    with pytest.raises(UnauthenticatedError):
        ring.caller_of(key)


def test_what_is_asked_for_is_in_the_file(file: Path) -> None:
    options = ("--scope", "ingest", "--scope", "search", "--index", "a", "--index", "b-*")
    limits = ("--rate", "2.5", "--burst", "7", "--concurrent", "3", "--expires", "90d")
    made = json.loads(run(file, "create", "x", *options, *limits, "--json").stdout)

    (key,) = keys_file.read(file).keys
    assert made["id"] == key.id
    assert made["key"].startswith(f"isk_{key.id}_")
    assert key.scopes == ("ingest", "search")
    assert key.indexes == ("a", "b-*")
    assert (key.limits.requests_per_second, key.limits.burst) == (2.5, 7)
    assert key.limits.concurrent_calls == 3
    assert key.expires_at is not None
    assert key.expires_at - key.created_at == timedelta(days=90)


def test_by_default_a_key_searches_everything_and_does_nothing_else(file: Path) -> None:
    run(file, "create", "x")

    (key,) = keys_file.read(file).keys
    assert (key.scopes, key.indexes, key.expires_at) == (("search",), ("*",), None)


def test_lists_tell_everything_but_secrets(file: Path) -> None:
    secret = run(file, "create", "one").stdout.strip()
    run(file, "create", "two", "--rate", "5")
    run(file, "revoke", keys_file.read(file).keys[0].id)

    table = run(file, "list").stdout
    listed = json.loads(run(file, "list", "--json").stdout)

    assert "one" in table
    assert "5/s" in table
    assert [key["name"] for key in listed] == ["one", "two"]
    assert [key["state"].split()[0] for key in listed] == ["revoked", "good"]
    assert "sha256" not in listed[0]
    assert secret.rpartition("_")[2] not in table + json.dumps(listed)


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "x", "--scope", "all"),
        ("create", "x", "--index", "NO"),
        ("create", "x", "--expires", "soon"),
        ("create", "x", "--expires", "2020-01-01"),
        ("create", "x", "--burst", "3"),
        ("create", ""),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    file: Path, arguments: tuple[str, ...]
) -> None:
    run(file, *arguments, code=2)

    assert not file.exists()


def test_errors_are_said_in_words(file: Path) -> None:
    assert "cannot be read" in run(file, "list", code=1).stderr
    file.write_text("{")
    assert "no file of keys" in run(file, "create", "x", code=1).stderr
    assert file.read_text() == "{"


def test_a_time_of_ones_own_ends_a_key(file: Path) -> None:
    run(file, "create", "x", "--expires", "2100-01-31T12:00:00+02:00")

    (key,) = keys_file.read(file).keys
    assert key.expires_at == datetime(2100, 1, 31, 10, tzinfo=UTC)
