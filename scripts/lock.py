"""Locks what each role installs, with hashes: `python scripts/lock.py [--upgrade]`.

Writes requirements/ROLE.txt, for Linux and macOS and every Python that pyproject.toml allows. What
is locked already stays as it is unless pyproject.toml forbids it, or `--upgrade` asks for the
newest. All roles get the versions of `dev`, so that what is tested is what is deployed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"

ROLES: dict[str, tuple[str, ...]] = {
    "dev": ("dev",),
    "embedder": ("embedder", "heic"),
    "search": ("search",),
    "gateway": ("gateway", "heic"),
    "web": ("web", "heic"),
    "cli": ("cli", "collect"),
}
"""The extras of each role. The first one has all that the others have."""

RUNTIME = ("embedder", "search", "gateway", "web", "cli")
"""The roles that are deployed."""

BUILD = ("hatchling", "editables")
"""What installing this project itself needs, by --no-build-isolation."""

_URL = re.compile(r"https?://|--(extra-)?index-url|--find-links")


def locked(role: str) -> list[Requirement]:
    """Reads what a role's lock has, without the hashes.

    A package may be there in two versions, for different Pythons.
    """
    lines = (FOLDER / f"{role}.txt").read_text(encoding="utf-8").splitlines()
    return [
        Requirement(line.rstrip("\\ "))
        for line in lines
        if line.strip() and not line.startswith(("#", " ", "--"))
    ]


def lock(role: str, extras: tuple[str, ...], upgrade: bool) -> None:
    """Locks one role.

    Raises:
        SystemExit: It cannot be resolved, or the lock would name a registry.
    """
    everything = FOLDER / "dev.txt"
    arguments = [str(ROOT / "pyproject.toml"), *(f"--extra={extra}" for extra in extras)]
    if role != everything.stem:
        arguments += ["--constraint", str(everything)]
    _compile(arguments, FOLDER / f"{role}.txt", upgrade)


def lock_build(upgrade: bool) -> None:
    """Locks what building needs."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "build.in")
        wanted.write_text("".join(f"{name}\n" for name in BUILD), encoding="utf-8")
        _compile([str(wanted)], FOLDER / "build.txt", upgrade)


def _compile(arguments: list[str], output: Path, upgrade: bool) -> None:
    FOLDER.mkdir(exist_ok=True)
    uv = Path(sys.executable).with_name("uv")
    command = [
        *(str(uv) if uv.exists() else "uv", "pip", "compile", "--quiet", *arguments),
        *("--universal", "--python-version", "3.11", "--generate-hashes"),
        # Source distributions run code when they are installed.
        *("--only-binary", ":all:"),
        *("--no-emit-index-url", "--no-emit-find-links", "--no-annotate"),
        *("--custom-compile-command", "make lock", "--output-file", str(output)),
        *(["--upgrade"] if upgrade else []),
    ]
    if done := subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(f"{output.stem} cannot be locked (status {done})")
    if named := _URL.search(output.read_text(encoding="utf-8")):
        sys.exit(f"{output} names a registry ({named[0]}); it must not be committed")


def main() -> None:
    """Locks all roles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade
    for role, extras in ROLES.items():
        lock(role, extras, upgrade)
    lock_build(upgrade)


if __name__ == "__main__":
    main()
