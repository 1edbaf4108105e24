"""Near-identical results put together. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Of versions of one picture, perceptual hashes differ by few of their 64 bits and vectors point
# the same way. Either alone is also true of pictures that are only alike: hashes of plain ones,
# vectors of ones with the same things in them.
MAX_BITS = 10
MIN_COSINE = 0.9

# Where there is no hash, vectors must be all but the same.
MIN_COSINE_ALONE = 0.995


def fold(phashes: Sequence[str], vectors: NDArray[np.float32]) -> list[list[int]]:
    """Puts near-identical results together.

    Each is compared with the best of the groups before it, not with all of their members, so that a
    chain of small differences does not become a group of different pictures.

    Args:
        phashes: Perceptual hash of each result, best first, 16 hex digits; "" without.
        vectors: (results, dimensions), unit length.

    Returns:
        Groups of numbers of results; each begins with its best, and the groups are in the order of
        these.
    """
    bits = np.array([_bits(each) for each in phashes], np.uint64)
    known = np.array([bool(each) for each in phashes])
    groups: list[list[int]] = []
    leaders = np.empty(len(phashes), np.intp)
    for i in range(len(phashes)):
        before = leaders[: len(groups)]
        likeness = vectors[before] @ vectors[i]
        differing = np.bitwise_count(bits[before] ^ bits[i])
        same = np.where(
            known[before] & known[i],
            (differing <= MAX_BITS) & (likeness >= MIN_COSINE),
            likeness >= MIN_COSINE_ALONE,
        )
        if same.any():
            groups[int(np.argmax(same))].append(i)
        else:
            leaders[len(groups)] = i
            groups.append([i])
    return groups


def _bits(phash: str) -> int:
    try:
        return int(phash or "0", 16) & 0xFFFFFFFFFFFFFFFF
    except ValueError:
        return 0
