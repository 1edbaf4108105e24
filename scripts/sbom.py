"""Writes a bill of materials (CycloneDX, JSON) for each deployed role: `python scripts/sbom.py`.

What is in them comes from the locks, hashes included; the files go to sbom/ROLE.cdx.json.
"""

import subprocess
import sys
from pathlib import Path

from lock import FOLDER, ROOT, RUNTIME

OUT = ROOT / "sbom"


def write(role: str, out: Path = OUT) -> Path:
    """Writes one role's; gives the file.

    Raises:
        SystemExit: The lock is not there, or cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{role}.cdx.json"
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "requirements", str(FOLDER / f"{role}.txt")),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
        *("--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible"),
        *("--output-file", str(file)),
    ]
    if done := subprocess.run(command, check=False).returncode:
        sys.exit(f"no bill of materials for {role} (status {done})")
    return file


def main() -> None:
    """Writes all."""
    for role in RUNTIME:
        print(write(role).relative_to(ROOT))


if __name__ == "__main__":
    main()
