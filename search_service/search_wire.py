"""Searches: messages to domain values, and what can be wrong with them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as pb
from numpy.typing import NDArray

from search_service import filters
from search_service.errors import VectorMismatchError
from search_service.mappings import Revision
from search_service.queries import KnnSearch
from search_service.records import FIELDS
from service_kit.errors import InvalidRequestError, Violations

MAX_K = 1_000
MAX_CANDIDATES = 10_000
MAX_VECTORS = 32
MAX_FACETS = 10
MAX_PAGE = 1_000
MAX_LUCENE_BYTES = 4_096
DEFAULT_K = 10

COLLAPSIBLE = ("phash", "image_name", "relative_path", "format")
"""Fields with at most one value, which hits can be collapsed by."""

# Beyond these, Elasticsearch's float32 arithmetic on squares overflows or vanishes.
_SHORTEST, _LONGEST = 1e-15, 1e15

# Elasticsearch refuses a dot_product vector whose squared length differs from 1 by more.
_UNIT_TOLERANCE = 1e-3


def vector(given: types.Vector, index: Revision, field: str = "vector") -> NDArray[np.float32]:
    """Reads a vector for an index.

    Args:
        given: The vector.
        index: What it is to be compared with.
        field: Its path in the request.

    Returns:
        (dimensions,).

    Raises:
        InvalidRequestError: It is no vector that could be compared with any.
        VectorMismatchError: It cannot be compared with those of this index.
    """
    if not given.space:
        raise InvalidRequestError(
            [(f"{field}.space", "is not set; the embedder's answers carry it")]
        )
    if given.space != index.space:
        what = f"is {given.space!r}; index {index.name!r} holds vectors of {index.space!r}"
        raise VectorMismatchError("SPACE_MISMATCH", f"{field}.space", what)
    values = np.array(given.values, np.float32)
    if len(values) != index.options.dimensions:
        what = f"has {len(values)} values; index {index.name!r} has {index.options.dimensions}"
        raise VectorMismatchError("DIMENSION_MISMATCH", f"{field}.values", what)
    length = math.sqrt(float(np.dot(values, values.astype(np.float64))))
    similarity = index.options.similarity
    if not math.isfinite(length):
        what = "has a value that is not a finite number"
    elif similarity in ("cosine", "dot_product") and length == 0:
        what = "has no direction: every value is zero"
    elif length > _LONGEST or (similarity == "cosine" and length < _SHORTEST):
        what = f"has length {length:.3g}; {_SHORTEST} to {_LONGEST} is allowed"
    elif similarity == "dot_product" and abs(length * length - 1) >= _UNIT_TOLERANCE:
        what = f"has length {length:.4g}; dot_product needs unit length"
    else:
        return values
    raise InvalidRequestError([(f"{field}.values", what)])


def search(request: pb.SearchRequest, index: Revision) -> KnnSearch:
    """Reads a SearchRequest, but for its page token.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
        VectorMismatchError: A vector cannot be compared with those of the index.
    """
    wrong = Violations()
    k = request.k if request.HasField("k") else DEFAULT_K
    if not 1 <= k <= MAX_K:
        wrong.add("k", f"is {k}; 1 to {MAX_K} are allowed")
    candidates = max(100, math.ceil(1.5 * k))
    if request.HasField("num_candidates"):
        candidates = request.num_candidates
        if not k <= candidates <= MAX_CANDIDATES:
            what = f"is {candidates}; from k, which is {k}, to {MAX_CANDIDATES} is allowed"
            wrong.add("num_candidates", what)
    check_fields(request.fields, wrong)
    min_score = request.min_score if request.HasField("min_score") else None
    if min_score is not None:
        _check_min_score(min_score, index.options.similarity, wrong)
    oversample = request.oversample if request.HasField("oversample") else None
    if oversample is not None and oversample != 0 and not 1 <= oversample <= 10:
        wrong.add("oversample", f"is {oversample:g}; 0, or 1 to 10 is allowed")
    if request.collapse and request.collapse not in COLLAPSIBLE:
        what = f"hits cannot be collapsed by {request.collapse!r}, but by {', '.join(COLLAPSIBLE)}"
        wrong.add("collapse", what)
    if not 0 <= request.page_size <= MAX_PAGE:
        wrong.add("page_size", f"is {request.page_size}; 0 to {MAX_PAGE} are allowed")
    if request.collapse and request.page_size:
        wrong.add("page_size", "collapsed hits do not come in pages")
    if request.page_token and not request.page_size:
        wrong.add("page_token", "needs a page_size")
    if len(request.facets) > MAX_FACETS:
        wrong.add("facets", f"has {len(request.facets)} items; {MAX_FACETS} are allowed")
    facets = [
        filters.facet_field(field, f"facets[{i}]", wrong)
        for i, field in enumerate(request.facets[:MAX_FACETS])
    ]
    query = matching(request, wrong)
    if bool(request.vectors) == request.HasField("vector"):
        wrong.add("vector", "or vectors must be set, and not both")
    wrong.raise_if_any()
    values, factor = _query_vector(request, index)
    return KnnSearch(
        values,
        k,
        candidates,
        query,
        fields=tuple(request.fields),
        min_score=min_score,
        factor=factor,
        exact=request.exact and index.options.vector_type != "flat",
        oversample=oversample if _is_quantised(index) else None,
        collapse=request.collapse,
        facets=tuple(facets) if not request.page_token else (),
        page_size=request.page_size,
        profile=request.profile,
        lucene=bool(request.lucene_query),
    )


def _is_quantised(index: Revision) -> bool:
    return not index.options.vector_type.startswith(("hnsw", "flat"))


def matching(
    request: pb.SearchRequest | pb.ListDocumentsRequest | pb.CountDocumentsRequest,
    wrong: Violations,
) -> dict[str, Any] | None:
    """Reads which documents are wanted: by filter, by Lucene query, or all (None)."""
    queries = []
    if request.HasField("filter"):
        queries.append(filters.to_query(request.filter, "filter", wrong))
    if request.lucene_query:
        if (size := len(request.lucene_query.encode())) > MAX_LUCENE_BYTES:
            wrong.add("lucene_query", f"has {size} bytes; at most {MAX_LUCENE_BYTES} are allowed")
        queries.append(
            {
                "query_string": {
                    "query": request.lucene_query,
                    "default_field": "caption",
                    "allow_leading_wildcard": False,
                }
            }
        )
    if len(queries) == 2:
        return {"bool": {"filter": queries}}
    return queries[0] if queries else None


def check_fields(fields: Sequence[str], wrong: Violations) -> None:
    """Checks names of fields to return."""
    for i, field in enumerate(fields):
        if field not in FIELDS:
            known = ", ".join(sorted(FIELDS))
            wrong.add(f"fields[{i}]", f"{field!r} is not a field of Document: {known}")


def _query_vector(request: pb.SearchRequest, index: Revision) -> tuple[NDArray[np.float32], float]:
    """The vector to search with, and the factor from its similarities to scores.

    The weighted sum of similarities to several vectors is, but for a factor, the similarity to
    one: cosines and dot products are linear in the query, and the weighted mean of squared
    distances is, but for a constant, the squared distance to the weighted mean.
    """
    if request.HasField("vector"):
        return vector(request.vector, index), 1.0
    if len(request.vectors) > MAX_VECTORS:
        what = f"has {len(request.vectors)} items; {MAX_VECTORS} are allowed"
        raise InvalidRequestError([("vectors", what)])
    similarity = index.options.similarity
    total = np.zeros(index.options.dimensions)
    weights = []
    for i, weighted in enumerate(request.vectors):
        if not math.isfinite(weighted.weight) or weighted.weight == 0:
            what = f"is {weighted.weight:g}; it must be a number other than 0"
            raise InvalidRequestError([(f"vectors[{i}].weight", what)])
        values = vector(weighted.vector, index, f"vectors[{i}].vector").astype(np.float64)
        if similarity == "cosine":
            values /= np.linalg.norm(values)
        total += weighted.weight * values
        weights.append(weighted.weight)
    size = math.fsum(map(abs, weights))
    if similarity == "l2_norm":
        if (net := math.fsum(weights)) <= 1e-6 * size:
            raise InvalidRequestError(
                [("vectors", f"their weights add up to {net:g}, not above 0")]
            )
        return (total / net).astype(np.float32), 1.0
    if similarity == "max_inner_product":
        return (total / size).astype(np.float32), 1.0
    length = float(np.linalg.norm(total))
    if length <= 1e-6 * size:
        raise InvalidRequestError([("vectors", "they cancel each other out")])
    return (total / length).astype(np.float32), length / size


def vectors(request: pb.SearchRequest, index: Revision) -> list[NDArray[np.float32]]:
    """The vectors of a request that `search` has read: each (dimensions,)."""
    given = [request.vector] if request.HasField("vector") else [w.vector for w in request.vectors]
    return [vector(each, index) for each in given]


def _check_min_score(value: float, similarity: str, wrong: Violations) -> None:
    least, most = {"cosine": (-1, 1), "dot_product": (-1, 1), "l2_norm": (0, 1)}.get(
        similarity, (-math.inf, math.inf)
    )
    if math.isnan(value) or not least <= value <= most or (similarity == "l2_norm" and value == 0):
        wrong.add("min_score", f"is {value:g}; scores of this index lie between {least} and {most}")
