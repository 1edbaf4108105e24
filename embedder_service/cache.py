"""Vectors by the digest of what they were made from: what was embedded once costs no model."""

import hashlib
from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

# What an entry takes beside the vector's own bytes: the digest, and the dict around both.
_OVERHEAD_BYTES = 300


def digest(kind: str, content: bytes) -> bytes:
    """Names an input: SHA-256 of its kind ("image NAME", "text NAME") and its bytes."""
    hashed = hashlib.sha256(kind.encode() + b"\0")
    hashed.update(content)
    return hashed.digest()


class VectorCache:
    """Keeps the vectors that were asked for last. Safe to use from several threads.

    Args:
        max_bytes: Most that it may hold; 0: nothing is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = Lock()
        self._kept: OrderedDict[bytes, tuple[Vector, bool]] = OrderedDict()

    @property
    def enabled(self) -> bool:
        """It keeps anything at all."""
        return self._max_bytes > 0

    def get(self, key: bytes) -> tuple[Vector, bool] | None:
        """Gives a vector and whether its text was cut; None if it is not known."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: bytes, vector: Vector, truncated: bool) -> None:
        """Keeps a vector; forgets those that were not asked for longest."""
        size = vector.nbytes + _OVERHEAD_BYTES
        if size > self._max_bytes:
            return
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = (vector.copy(), truncated)  # not a view that keeps its batch
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, (old, _) = self._kept.popitem(last=False)
                self._bytes -= old.nbytes + _OVERHEAD_BYTES
