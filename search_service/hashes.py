"""Perceptual hashes that differ in few bits, found without a script. Pure.

A document keeps its 64-bit hash in bands: 8 of eight bits and 16 of four. Bits that differ spoil
at most as many bands, so all hashes within d bits have 8 - d of the large bands in common with
the one searched for: multi-index hashing (Norouzi, Punjani and Fleet 2012, "Fast Search in
Hamming Space with Multi-Index Hashing"). That leaves few documents to look at; the small bands
then count their differing bits exactly.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

BANDS_FIELD = "phash_bands"
"""Where the bands are. Written with every hash, never shown."""

MAX_DISTANCE = 5
"""Beyond it, too few large bands are left in common to search by."""

_HASH = re.compile(r"[0-9a-f]{16}")
_LARGE = 8


def is_hash(text: str) -> bool:
    """Whether this is a hash as it is kept: 16 lower-case hex digits."""
    return _HASH.fullmatch(text) is not None


def with_bands(record: Mapping[str, Any]) -> dict[str, Any]:
    """A document with the bands of its hash; without, if it has no hash of 64 bits."""
    banded = {name: value for name, value in record.items() if name != BANDS_FIELD}
    if is_hash(phash := str(record.get("phash", ""))):
        banded[BANDS_FIELD] = _large(phash) + [_small(i, digit) for i, digit in enumerate(phash)]
    return banded


def similar(phash: str, distance: int) -> dict[str, Any]:
    """The query for all documents whose hash differs in at most so many bits.

    Args:
        phash: 16 lower-case hex digits.
        distance: 0 to MAX_DISTANCE.
    """
    large = [{"term": {BANDS_FIELD: band}} for band in _large(phash)]
    near = [{"bool": {"should": large, "minimum_should_match": _LARGE - distance}}]
    if distance:
        near.append(_exactly(phash, distance))
    return {"bool": {"filter": near}}


def _exactly(phash: str, distance: int) -> dict[str, Any]:
    """The condition that no more bits differ.

    Of a small band, one clause asks whether it differs in no bit, one whether in at most one,
    and so on: as many of them fail as bits differ. So at most `distance` of all may fail.
    """
    radii = range(min(distance + 1, 4))
    clauses = [
        {"terms": {BANDS_FIELD: [_small(i, other) for other in _ball(digit, radius)]}}
        for i, digit in enumerate(phash)
        for radius in radii
    ]
    return {"bool": {"should": clauses, "minimum_should_match": len(clauses) - distance}}


def _large(phash: str) -> list[str]:
    return [f"{i}:{phash[2 * i : 2 * i + 2]}" for i in range(_LARGE)]


def _small(place: int, digit: str) -> str:
    return f"{place:x}{digit}"


@cache
def _ball(digit: str, radius: int) -> tuple[str, ...]:
    """The hex digits that differ from one in at most so many bits."""
    value = int(digit, 16)
    return tuple(f"{other:x}" for other in range(16) if (value ^ other).bit_count() <= radius)
