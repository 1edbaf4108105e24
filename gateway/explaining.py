"""What each term of a query gave to a result's score. Pure."""

from collections.abc import Sequence

import numpy as np
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from numpy.typing import NDArray

from gateway.composing import Resolved


def unit_rows(vectors: Sequence[types.Vector]) -> NDArray[np.float32]:
    """Vectors as rows of unit length: (vectors, dimensions)."""
    rows = np.array([vector.values for vector in vectors], np.float32)
    if not len(rows):
        return rows.reshape(0, 0)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = rows / np.maximum(lengths, 1e-30)
    return scaled


def explain(
    terms: Sequence[Resolved], results: NDArray[np.float32]
) -> list[list[queries_pb.TermScore]]:
    """Takes scores apart: they are sums over the terms.

    Args:
        terms: What was looked for.
        results: (results, dimensions), unit length.

    Returns:
        Of each result, what each term gave, in the order of the terms.
    """
    if not len(results):
        return []
    likeness = results @ unit_rows([term.vector for term in terms]).T
    weights = np.array([term.weight for term in terms])
    given = likeness * weights / np.abs(weights).sum()
    return [
        [
            queries_pb.TermScore(term=i, similarity=similarity, contribution=contribution)
            for i, (similarity, contribution) in enumerate(zip(*rows, strict=True))
        ]
        for rows in zip(likeness.tolist(), given.tolist(), strict=True)
    ]
