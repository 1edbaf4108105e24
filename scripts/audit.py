"""Looks the locked versions up in the advisory database: `python scripts/audit.py [ROLE …]`.

Exit status: 0 no advisory is known, 1 there is one, 3 the database cannot be reached, or does not
know a package: then nothing is known of it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lock import FOLDER, ROLES

FOUND = 1
NOT_REACHED = 3

_TIMEOUT_S = 20


def look_up(role: str) -> dict[str, Any] | str:
    """Looks a role's lock up; gives what pip-audit says, or why it says nothing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "audit.json")
        command = [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(FOLDER / f"{role}.txt")),
            # The lock is complete: nothing is to be resolved, installed or built.
            *("--require-hashes", "--disable-pip", "--progress-spinner", "off"),
            *("--timeout", str(_TIMEOUT_S), "--format", "json", "--output", str(file)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not file.exists() or not file.read_text(encoding="utf-8").strip():
            return (done.stderr.strip().splitlines() or ["pip-audit says nothing"])[-1]
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return told


def advisories(told: dict[str, Any]) -> list[str]:
    """One line for each advisory."""
    return [
        f"{package['name']} {package['version']}: {each['id']}"
        f" (fixed in {', '.join(each['fix_versions']) or 'no version yet'})"
        for package in told["dependencies"]
        for each in package.get("vulns", ())
    ]


def main() -> None:
    """Looks up all that the project installs, or single roles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roles", nargs="*", default=["dev"], choices=[*ROLES, "build"])
    status = 0
    for role in parser.parse_args().roles:
        told = look_up(role)
        if isinstance(told, str):
            print(f"{role}: the advisory database cannot be reached: {told}", file=sys.stderr)
            status = status or NOT_REACHED
            continue
        found = advisories(told)
        missed = [each for each in told["dependencies"] if "skip_reason" in each]
        looked_up = len(told["dependencies"]) - len(missed)
        print(f"{role}: {looked_up} packages looked up, {len(found)} advisories")
        print("".join(f"  {line}\n" for line in found), end="")
        if missed:
            why = f"{missed[0]['name']}: {missed[0]['skip_reason']}"
            print(f"{role}: {len(missed)} packages could not be looked up; {why}", file=sys.stderr)
            status = status or NOT_REACHED
        status = FOUND if found else status
    sys.exit(status)


if __name__ == "__main__":
    main()
