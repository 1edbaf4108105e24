"""What became of the images."""

import csv
from collections import Counter
from dataclasses import dataclass, field
from typing import TextIO

KEPT = 10_000
"""Refused images that are named in a report; there may be more, which are counted."""


@dataclass
class Report:
    """What became of the images, so far or in the end.

    Attributes:
        outcomes: How many were "created", "merged" or "unchanged".
        refused: (key, reason) of those that were not stored; of the first `KEPT`.
        refused_count: How many there are.
        listed: Items that the source has.
        known: Of these, known from the journal to be unchanged, so that they were not read.
        known_refused: Of these, known to have been refused before, and not tried again.
        unsettled: Files that are still being written.
        sent_bytes: Bytes of images that were answered.
        total: Items that the source says it has, about; None: not known.
        to_send: In a dry run, items that would be read.
        pruned: Documents deleted because their images are gone.
        kept: Documents of images that are gone, kept because they are not this journal's alone.
        interrupted: It was ended before all was done.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    refused_count: int = 0
    listed: int = 0
    known: int = 0
    known_refused: int = 0
    unsettled: int = 0
    sent_bytes: int = 0
    total: int | None = None
    to_send: int = 0
    pruned: int = 0
    kept: int = 0
    interrupted: bool = False

    @property
    def stored(self) -> int:
        """Images that are in the index now."""
        return self.outcomes.total()

    @property
    def done(self) -> int:
        """Items whose fate is known."""
        return self.stored + self.refused_count + self.known_refused

    def refuse(self, key: str, reason: str) -> None:
        """Counts an item that is not stored."""
        self.refused_count += 1
        if len(self.refused) < KEPT:
            self.refused.append((key, reason))


class Table:
    """Every outcome as a line of CSV: path, image_id, outcome, reason.

    Args:
        file: Where to; None: nowhere.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._rows = None if file is None else csv.writer(file)
        self.add("path", "image_id", "outcome", "reason")

    def add(self, key: str, image_id: str, outcome: str, reason: str) -> None:
        """Writes a line."""
        if self._rows is not None:
            self._rows.writerow((key, image_id, outcome, reason))
