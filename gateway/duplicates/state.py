"""How far a scan is, in memory and as the file that a scan is gone on with from. Pure."""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.duplicates.grouping import Pair
from gateway.proof.relations import Relation

_VERSION = 1


class StateError(ValueError):
    """The file is no state of a scan that this version reads."""


@dataclass
class ScanState:
    """How far a scan is.

    Attributes:
        scan_id: Names it.
        digest: Of what is scanned, and how.
        threshold: Score from which on neighbours are compared.
        total: Images to look at, as of the beginning.
        after: The last image that was looked at, by id; "" before the first.
        finished: All were looked at.
        checked: Images looked at.
        compared: Pairs compared.
        pairs: Those that are versions of each other.
        expected: Keys of pairs that were compared when the first of the two was looked at: not
            to be compared again at the second.
        skipped: Ids of images that could not be compared.
    """

    scan_id: str
    digest: str
    threshold: float
    total: int
    after: str = ""
    finished: bool = False
    checked: int = 0
    compared: int = 0
    pairs: list[Pair] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)


def pair_key(one: str, other: str) -> int:
    """64 bits that stand for a pair of ids, in any order."""
    first, second = sorted((one, other))
    digest = hashlib.blake2b((first + second).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def encoded(state: ScanState) -> bytes:
    """Renders a state for a file."""
    keys = np.sort(np.fromiter(state.expected, np.uint64, len(state.expected)))
    body = {
        "version": _VERSION,
        "scan_id": state.scan_id,
        "digest": state.digest,
        "threshold": state.threshold,
        "total": state.total,
        "after": state.after,
        "finished": state.finished,
        "checked": state.checked,
        "compared": state.compared,
        "pairs": [
            [each.a, each.b, each.relation.name, each.confidence, each.joins]
            for each in state.pairs
        ],
        "expected": base64.b64encode(keys.astype("<u8").tobytes()).decode(),
        "skipped": sorted(state.skipped),
    }
    return zlib.compress(json.dumps(body).encode(), level=1)


def decoded(data: bytes) -> ScanState:
    """Reads a state.

    Raises:
        StateError: It is not one.
    """
    try:
        body = json.loads(zlib.decompress(data))
        if body["version"] != _VERSION:
            raise StateError(f"version {body['version']}")
        return _read(body)
    except (zlib.error, KeyError, TypeError, ValueError) as error:
        raise StateError(str(error)) from error


def _read(body: Mapping[str, Any]) -> ScanState:
    keys = np.frombuffer(base64.b64decode(body["expected"]), "<u8")
    return ScanState(
        scan_id=body["scan_id"],
        digest=body["digest"],
        threshold=float(body["threshold"]),
        total=body["total"],
        after=body["after"],
        finished=body["finished"],
        checked=body["checked"],
        compared=body["compared"],
        pairs=[
            Pair(a, b, Relation[relation], float(confidence), joins)
            for a, b, relation, confidence, joins in body["pairs"]
        ],
        expected=set(keys.tolist()),
        skipped=set(body["skipped"]),
    )
