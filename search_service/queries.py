"""Searches to Elasticsearch's search body. Pure."""

import base64
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_service.mappings import UNSEEN, VECTOR_FIELD

ROUNDING = 1e-5
"""Scores travel as float32: a hit whose score was given as the least one must still pass."""

MAX_FACET_VALUES = 100

_MANY_CANDIDATES = 1_000

# Elasticsearch's scores of similarities, as its dense_vector reference has them, in Painless.
_SCRIPTS = {
    "cosine": f"(1 + cosineSimilarity(params.v, '{VECTOR_FIELD}')) / 2",
    "dot_product": f"(1 + dotProduct(params.v, '{VECTOR_FIELD}')) / 2",
    "l2_norm": f"double d = l2norm(params.v, '{VECTOR_FIELD}'); return 1 / (1 + d * d);",
    "max_inner_product": f"double p = dotProduct(params.v, '{VECTOR_FIELD}'); "
    "return p < 0 ? 1 / (1 - p) : p + 1;",
}


@dataclass(frozen=True)
class KnnSearch:
    """A search for the nearest vectors.

    Attributes:
        vector: (dimensions,). What to look for.
        k: Most hits.
        num_candidates: Candidates looked at in each shard.
        query: Elasticsearch query that hits must match; None: any.
        fields: Fields to return; empty: all but the vector.
        min_score: Least score of a hit, as the index's similarity measures it.
        factor: From the similarity to `vector` to the score of a hit.
        exact: Compare every vector, by script.
        oversample: Of quantised vectors, how many times k are compared again; None: as the
            index has it.
        collapse: Field of whose values each is wanted once; "": none.
        facets: Fields whose values are counted.
        page_size: Hits in one answer; 0: all.
        profile: Have Elasticsearch say where it spends its time.
        lucene: The query is one in Lucene's syntax, which can be as slow as its author likes.
    """

    vector: NDArray[np.float32]
    k: int
    num_candidates: int
    query: dict[str, Any] | None = None
    fields: tuple[str, ...] = ()
    min_score: float | None = None
    factor: float = 1.0
    exact: bool = False
    oversample: float | None = None
    collapse: str = ""
    facets: tuple[str, ...] = ()
    page_size: int = 0
    profile: bool = False
    lucene: bool = False

    @property
    def is_heavy(self) -> bool:
        """Whether it may take much longer than others."""
        return (
            self.exact
            or self.profile
            or self.lucene
            or bool(self.collapse or self.facets)
            or self.num_candidates > _MANY_CANDIDATES
        )

    def described(self) -> dict[str, Any]:
        """What was asked for, for the log; no vector."""
        return {
            "k": self.k,
            "num_candidates": self.num_candidates,
            "filtered": self.query is not None,
            "heavy": self.is_heavy,
            "page_size": self.page_size,
        }


def packed_vector(vector: NDArray[np.float32]) -> str:
    """A vector as Elasticsearch reads it fastest: base64 of big-endian float32."""
    return base64.b64encode(vector.astype(">f4").tobytes()).decode()


def search_body(search: KnnSearch, similarity: str, packed: bool = False) -> dict[str, Any]:
    """Builds the body of a search for all its hits.

    With `packed`, the vector is in base64.

    The filter goes inside `knn`, so that it narrows the graph walk and k hits still
    come back; as a `post_filter` it would thin them out afterwards.
    """
    source: dict[str, Any] = {"excludes": list(UNSEEN)}
    if search.fields:
        source = {"includes": list(search.fields)}
    body: dict[str, Any] = {"size": search.k, "_source": source, "track_total_hits": False}
    if search.exact:
        body["query"] = _script(search, similarity)
        if search.min_score is not None:
            body["min_score"] = raw(_least(search), similarity)
    else:
        body["knn"] = _knn(search, similarity, packed)
    if search.collapse:
        body["collapse"] = {"field": search.collapse}
    if search.facets:
        body["aggs"] = {
            str(i): {"terms": {"field": field, "size": MAX_FACET_VALUES}}
            for i, field in enumerate(search.facets)
        }
    if search.profile:
        body["profile"] = True
    return body


def _knn(search: KnnSearch, similarity: str, packed: bool) -> dict[str, Any]:
    knn: dict[str, Any] = {
        "field": VECTOR_FIELD,
        "query_vector": packed_vector(search.vector) if packed else search.vector.tolist(),
        "k": search.k,
        "num_candidates": search.num_candidates,
    }
    if search.query is not None:
        knn["filter"] = search.query
    if search.oversample is not None:
        knn["rescore_vector"] = {"oversample": search.oversample}
    if search.min_score is not None:
        least = _least(search)
        # For l2_norm it is a distance, else the similarity itself.
        far = similarity == "l2_norm"
        knn["similarity"] = math.sqrt(1 / max(least, ROUNDING) - 1) if far else least
    return knn


def _script(search: KnnSearch, similarity: str) -> dict[str, Any]:
    script = {"source": _SCRIPTS[similarity], "params": {"v": search.vector.tolist()}}
    among = search.query or {"match_all": {}}
    return {"script_score": {"query": among, "script": script}}


def _least(search: KnnSearch) -> float:
    assert search.min_score is not None
    least = search.min_score / search.factor
    return least - ROUNDING * max(1, abs(least))


def score(raw_score: float, similarity: str) -> float:
    """Undoes Elasticsearch's scaling of scores to positive numbers.

    The formulas are those of the dense_vector reference, "similarity" parameter.

    Args:
        raw_score: Its `_score`.
        similarity: Of the index.

    Returns:
        The cosine, the dot product, or 1 / (1 + d²).
    """
    match similarity:
        case "cosine" | "dot_product":
            return 2 * raw_score - 1
        case "max_inner_product":
            return raw_score - 1 if raw_score >= 1 else 1 - 1 / raw_score
        case _:
            return raw_score


def raw(value: float, similarity: str) -> float:
    """The inverse of `score`."""
    match similarity:
        case "cosine" | "dot_product":
            return (1 + value) / 2
        case "max_inner_product":
            return value + 1 if value >= 0 else 1 / (1 - value)
        case _:
            return value
