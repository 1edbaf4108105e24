"""The locks hold what pyproject.toml asks for; licences and advisories are read as they should."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"

sys.path.insert(0, str(SCRIPTS))
import audit  # noqa: E402
import licences  # noqa: E402
import lock  # noqa: E402
import sbom  # noqa: E402

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

EVERY_LOCK = [*lock.ROLES, "build"]

SYSTEMS = [
    {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.4", **system}
    for minor in (11, 12, 13)
    for system in (
        {"sys_platform": "linux", "platform_machine": "x86_64"},
        {"sys_platform": "linux", "platform_machine": "aarch64"},
        {"sys_platform": "darwin", "platform_machine": "arm64"},
    )
]
"""What the locks are for."""


def wanted(extras: tuple[str, ...]) -> Iterator[Requirement]:
    """What pyproject.toml asks for with these extras, those within extras too."""
    for text in PROJECT["dependencies"]:
        yield Requirement(text)
    for extra in extras:
        for text in PROJECT["optional-dependencies"][extra]:
            requirement = Requirement(text)
            if requirement.name == PROJECT["name"]:
                yield from wanted(tuple(requirement.extras))
            else:
                yield requirement


def applies(requirement: Requirement, system: dict[str, str]) -> bool:
    environment = {
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        **system,
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("role", lock.ROLES)
def test_a_lock_has_every_dependency_in_range_on_every_system(role: str) -> None:
    locked = lock.locked(role)
    for system in SYSTEMS:
        there = {canonicalize_name(r.name): r for r in locked if applies(r, system)}
        for requirement in wanted(lock.ROLES[role]):
            if applies(requirement, system):
                name = canonicalize_name(requirement.name)
                assert name in there, f"{name} is not locked for {role}: run `make lock`"
                (pin,) = there[name].specifier
                assert pin.operator == "=="
                assert requirement.specifier.contains(pin.version, prereleases=True), requirement


@pytest.mark.parametrize("role", EVERY_LOCK)
def test_a_lock_has_one_version_for_each_system(role: str) -> None:
    for system in SYSTEMS:
        names = [canonicalize_name(r.name) for r in lock.locked(role) if applies(r, system)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("role", EVERY_LOCK)
def test_a_lock_has_hashes_and_names_no_registry(role: str) -> None:
    text = (lock.FOLDER / f"{role}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.partition("\n#    make lock\n")[2])

    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--index-url|--extra-index-url|--find-links", text)


def test_roles_are_locked_to_the_versions_that_are_tested() -> None:
    tested = {(canonicalize_name(r.name), str(r.specifier)) for r in lock.locked("dev")}

    for role in lock.RUNTIME:
        deployed = {(canonicalize_name(r.name), str(r.specifier)) for r in lock.locked(role)}
        assert deployed <= tested


def test_only_the_embedder_carries_torch() -> None:
    carrying = {role for role in lock.RUNTIME if "torch" in {r.name for r in lock.locked(role)}}

    assert carrying == {"embedder"}


def test_the_list_of_licences_is_whole_and_has_no_strong_copyleft() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "licences.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, f"run `make licences`:\n{done.stderr}"


def test_what_is_installed_here_has_no_strong_copyleft_either() -> None:
    assert licences.complaints(licences.read()) == []


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", False),
        ("BSL-1.0", False),
        ("GPL-3.0-or-later", True),
        ("GPLv2", True),
        ("GNU Affero General Public License v3", True),
        ("AGPL-3.0-only AND MIT", True),
        ("GPL-2.0-only OR MIT", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("LGPL-2.1-or-later", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("SSPL-1.0", True),
    ],
)
def test_strong_copyleft_is_told_from_weak(licence: str, expected: bool) -> None:
    assert licences.binds(licence) is expected


class Declaring(Distribution):
    """A package that declares a licence in some way.

    Args:
        fields: Of its metadata.
    """

    def __init__(self, *fields: tuple[str, str]) -> None:
        self._fields = fields

    @property
    def metadata(self) -> Any:
        message = Message()
        for name, value in self._fields:
            message[name] = value
        return message

    def read_text(self, filename: str) -> str | None:
        return None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            [("License-Expression", "MIT OR Apache-2.0"), ("License", "long text")],
            "MIT OR Apache-2.0",
        ),
        ([("Classifier", "License :: OSI Approved :: MIT License")], "MIT License"),
        ([("Classifier", "License :: OSI Approved"), ("License", "BSD\n\nCopyright")], "BSD"),
        ([("Classifier", "Programming Language :: Python")], licences.UNKNOWN),
    ],
)
def test_licences_are_read_from_wherever_they_are_declared(
    fields: list[tuple[str, str]], expected: str
) -> None:
    assert licences.licence_of(Declaring(*fields)) == expected


def test_a_bill_of_materials_has_what_is_locked_with_hashes(tmp_path: Path) -> None:
    bill = json.loads(sbom.write("web", tmp_path).read_text())

    assert bill["bomFormat"] == "CycloneDX"
    assert {canonicalize_name(each["name"]) for each in bill["components"]} == {
        canonicalize_name(each.name) for each in lock.locked("web")
    }
    assert "sha256" in json.dumps(bill).lower().replace("sha-256", "sha256")


def test_advisories_are_told_with_the_version_that_mends_them() -> None:
    found = audit.advisories(
        {
            "dependencies": [
                {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["1.1"]}]},
                {"name": "b", "version": "2", "vulns": [{"id": "X-2", "fix_versions": []}]},
                {"name": "c", "version": "3", "vulns": []},
                {"name": "d", "skip_reason": "not known"},
            ]
        }
    )

    assert found == ["a 1: X-1 (fixed in 1.1)", "b 2: X-2 (fixed in no version yet)"]


def test_an_advisory_database_that_is_away_has_a_status_of_its_own() -> None:
    """A proxy that nobody is behind: the database cannot be reached, wherever this runs."""
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, SCRIPTS / "audit.py", "build"],
        env={"HTTPS_PROXY": nowhere, "https_proxy": nowhere, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == audit.NOT_REACHED, done.stdout + done.stderr
    assert "could not be looked up" in done.stderr or "cannot be reached" in done.stderr
