"""Versions of pictures: proving them, finding them, grouping them; and what is in them.

    python -m benchmarks.versions [--quick] [--json FILE] [--photos FOLDER]

Photos are those that come with the installed packages; a folder of more makes it harder.
"""

import asyncio
from pathlib import Path

from benchmarks import classification, version_index, versions_proof
from benchmarks.report import Report, parser


def proof(report: Report, folder: Path | None) -> None:
    """The proof alone, given the pair."""
    print("\nproof, given the pair")
    versions_proof.measure(report, folder, 10_000 if report.quick else 100_000)


def main() -> None:
    """Runs the benchmark."""
    options = parser("versions", __doc__)
    options.add_argument("--photos", type=Path, metavar="FOLDER", help="more photos")
    chosen = options.parse_args()
    report = Report("versions", chosen.quick)
    proof(report, chosen.photos)
    version_index.run(report)
    print("\nwhat is in a picture")
    asyncio.run(classification.run(report))
    report.write(chosen.json)


if __name__ == "__main__":
    main()
