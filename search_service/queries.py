"""Searches to Elasticsearch's search body. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_service.mappings import VECTOR_FIELD

ROUNDING = 1e-5
"""Scores travel as float32: a hit whose score was given as the least one must still pass."""


@dataclass(frozen=True)
class KnnSearch:
    """A search for the nearest vectors.

    Attributes:
        vector: What to look for.
        k: Most hits.
        num_candidates: Candidates looked at in each shard.
        query: Elasticsearch query that hits must match; None: any.
        fields: Fields to return; empty: all but the vector.
        min_score: Least score of a hit, as the index's similarity measures it.
    """

    vector: Sequence[float]
    k: int
    num_candidates: int
    query: dict[str, Any] | None = None
    fields: tuple[str, ...] = ()
    min_score: float | None = None


def knn_body(search: KnnSearch, similarity: str) -> dict[str, Any]:
    """Builds the body for an approximate search.

    The filter goes inside `knn`, so that it narrows the graph walk and k hits still
    come back; as a `post_filter` it would thin them out afterwards.
    """
    knn: dict[str, Any] = {
        "field": VECTOR_FIELD,
        "query_vector": list(search.vector),
        "k": search.k,
        "num_candidates": search.num_candidates,
    }
    if search.query is not None:
        knn["filter"] = search.query
    if search.min_score is not None:
        knn["similarity"] = _threshold(search.min_score, similarity)
    source: dict[str, Any] = {"excludes": [VECTOR_FIELD]}
    if search.fields:
        source = {"includes": list(search.fields)}
    return {"knn": knn, "size": search.k, "_source": source, "track_total_hits": False}


def _threshold(min_score: float, similarity: str) -> float:
    """What knn's `similarity` parameter wants: for l2_norm a distance, else the score itself."""
    least = min_score - ROUNDING * max(1, abs(min_score))
    if similarity == "l2_norm":
        return math.sqrt(1 / max(least, ROUNDING) - 1)
    return least


def score(raw: float, similarity: str) -> float:
    """Undoes Elasticsearch's scaling of scores to positive numbers.

    The formulas are those of the dense_vector reference, "similarity" parameter.

    Args:
        raw: Its `_score`.
        similarity: Of the index.

    Returns:
        The cosine, the dot product, or 1 / (1 + d²).
    """
    match similarity:
        case "cosine" | "dot_product":
            return 2 * raw - 1
        case "max_inner_product":
            return raw - 1 if raw >= 1 else 1 - 1 / raw
        case _:
            return raw
