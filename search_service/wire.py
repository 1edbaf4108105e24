"""Messages to domain values and back, and everything that can be wrong with a request."""

import base64
import binascii
import math
from collections.abc import Sequence

from google.protobuf.message import Message
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as pb

from image_kit.naming import check_image_id, check_index_name
from search_service import filters
from search_service.errors import VectorMismatchError
from search_service.mappings import (
    DEFAULT_DIMENSIONS,
    DEFAULT_EF_CONSTRUCTION,
    DEFAULT_M,
    Definition,
    Options,
)
from search_service.queries import KnnSearch
from search_service.records import FIELDS
from service_kit.errors import InvalidRequestError, Violations

MAX_K = 1_000
MAX_CANDIDATES = 10_000
MAX_IDS = 1_000
MAX_PAGE = 1_000
MAX_DIMENSIONS = 4_096
MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_STRING_BYTES = 8_192
MAX_TAGS = 100
MAX_ATTRIBUTES = 100
DEFAULT_K = 10
DEFAULT_PAGE = 100

# Beyond these, Elasticsearch's float32 arithmetic on squares overflows or vanishes.
_SHORTEST, _LONGEST = 1e-15, 1e15

# Elasticsearch refuses a dot_product vector whose squared length differs from 1 by more.
_UNIT_TOLERANCE = 1e-3

REFRESH = {
    types.REFRESH_POLICY_WAIT_FOR: "wait_for",
    types.REFRESH_POLICY_IMMEDIATE: "true",
}
"""Elasticsearch's `refresh` parameter; "false" for the others."""


def new_index(request: index_pb.CreateIndexRequest) -> tuple[str, str, Options]:
    """Reads a CreateIndexRequest: name, space and options.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    name = check_index_name(request.name, "name", wrong)
    if not request.space:
        wrong.add("space", "is not set; the embedder's GetModel gives it")
    elif len(request.space.encode()) > MAX_STRING_BYTES:
        wrong.add("space", f"has more than {MAX_STRING_BYTES} bytes")
    options = _options(request.options, wrong)
    wrong.raise_if_any()
    return name, request.space, options


def _options(given: index_pb.IndexOptions, wrong: Violations) -> Options:
    kind = _enum_name(given.vector_type, index_pb.VectorType, "VECTOR_TYPE_", "int8_hnsw")
    similarity = _enum_name(given.similarity, index_pb.Similarity, "SIMILARITY_", "cosine")
    if kind is None:
        wrong.add("options.vector_type", f"has no value {given.vector_type}")
    if similarity is None:
        wrong.add("options.similarity", f"has no value {given.similarity}")
    graph = kind is not None and kind.endswith("hnsw")

    def number(field: str, least: int, most: int, default: int) -> int:
        value: int = getattr(given, field)
        if value and not least <= value <= most:
            wrong.add(f"options.{field}", f"is {value}; {least} to {most} are allowed")
        return value or default

    dimensions = number("dimensions", 1, MAX_DIMENSIONS, DEFAULT_DIMENSIONS)
    if kind is not None and kind.startswith("int4") and dimensions % 2:
        wrong.add("options.dimensions", f"is {dimensions}; {kind} needs an even number")
    if kind is not None and kind.startswith("bbq") and dimensions < 64:
        wrong.add("options.dimensions", f"is {dimensions}; {kind} needs at least 64")
    m = number("m", 2, 512, DEFAULT_M)
    ef_construction = number("ef_construction", 2, 3_200, DEFAULT_EF_CONSTRUCTION)
    for field in ("m", "ef_construction"):
        if getattr(given, field) and kind is not None and not graph:
            wrong.add(f"options.{field}", f"{kind} has no graph")
    replicas = given.replicas if given.HasField("replicas") else None
    if replicas is not None and not 0 <= replicas <= 9:
        wrong.add("options.replicas", f"is {replicas}; 0 to 9 are allowed")
    refresh_ms = None
    if given.HasField("refresh_interval"):
        refresh_ms = given.refresh_interval.ToMilliseconds()
        if not 100 <= refresh_ms <= 86_400_000:
            wrong.add("options.refresh_interval", "must be from 100 ms to one day")
    return Options(
        dimensions=dimensions,
        similarity=similarity or "",
        vector_type=kind or "",
        m=m if graph else 0,
        ef_construction=ef_construction if graph else 0,
        shards=number("shards", 1, 1_024, 1),
        replicas=replicas,
        refresh_ms=refresh_ms,
    )


def _enum_name(
    value: int,
    enum: "type[index_pb.VectorType] | type[index_pb.Similarity]",
    prefix: str,
    default: str,
) -> str | None:
    """Elasticsearch's name of an enum value; None for a value that is not known."""
    if value == 0:
        return default
    if value not in enum.values():
        return None
    return enum.Name(value).removeprefix(prefix).lower()  # type: ignore[arg-type]


def options_message(options: Options) -> index_pb.IndexOptions:
    """Renders options, defaults filled in."""
    message = index_pb.IndexOptions(
        dimensions=options.dimensions,
        similarity=index_pb.Similarity.Value(f"SIMILARITY_{options.similarity.upper()}"),
        vector_type=index_pb.VectorType.Value(f"VECTOR_TYPE_{options.vector_type.upper()}"),
        m=options.m,
        ef_construction=options.ef_construction,
        shards=options.shards,
        replicas=options.replicas,
    )
    if options.refresh_ms is not None:
        message.refresh_interval.FromMilliseconds(options.refresh_ms)
    return message


def page(request: index_pb.ListIndexesRequest) -> tuple[int, str]:
    """Reads which page is wanted: its size, and the name it comes after.

    Raises:
        InvalidRequestError: The size is negative, or the token is not one of ours.
    """
    wrong = Violations()
    if request.page_size < 0:
        wrong.add("page_size", f"is {request.page_size}; it must not be negative")
    after = ""
    try:
        after = base64.urlsafe_b64decode(request.page_token).decode()
    except (binascii.Error, ValueError):
        wrong.add("page_token", "is not a token that ListIndexes gave")
    wrong.raise_if_any()
    return min(request.page_size or DEFAULT_PAGE, MAX_PAGE), after


def page_token(last: str) -> str:
    """Makes the token of the page that comes after the name `last`."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def image_ids(ids: Sequence[str]) -> list[str]:
    """Reads a list of ids.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    if not 1 <= len(ids) <= MAX_IDS:
        wrong.add("image_ids", f"has {len(ids)} items; 1 to {MAX_IDS} are allowed")
    else:
        for i, image_id in enumerate(ids):
            check_image_id(image_id, f"image_ids[{i}]", wrong)
    wrong.raise_if_any()
    return list(ids)


def check_document(document: types.Document) -> None:
    """Checks a document that is to be stored.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    check_image_id(document.image_id, "document.image_id", wrong)
    if (size := document.ByteSize()) > MAX_DOCUMENT_BYTES:
        wrong.add("document", f"has {size} bytes; at most {MAX_DOCUMENT_BYTES} are allowed")
    for name in ("image_name", "relative_path", "format", "phash"):
        _check_string(getattr(document, name), f"document.{name}", wrong)
    if len(document.tags) > MAX_TAGS:
        wrong.add("document.tags", f"has {len(document.tags)} items; {MAX_TAGS} are allowed")
    for i, tag in enumerate(document.tags[:MAX_TAGS]):
        _check_string(tag, f"document.tags[{i}]", wrong)
    if len(document.attributes) > MAX_ATTRIBUTES:
        count = len(document.attributes)
        wrong.add("document.attributes", f"has {count} keys; {MAX_ATTRIBUTES} are allowed")
    for key, value in document.attributes.items():
        if not key or not key.isprintable() or len(key.encode()) > 256:
            wrong.add("document.attributes", f"{key[:64]!r} is not a key: 1 to 256 printable bytes")
        _check_string(value, f"document.attributes[{key[:64]!r}]", wrong)
    _check_times(document, ("captured_at", "indexed_at"), "document", wrong)
    for i, source in enumerate(document.sources):
        field = f"document.sources[{i}]"
        for name in ("relative_path", "url", "page_url"):
            _check_string(getattr(source, name), f"{field}.{name}", wrong)
        _check_times(source, ("first_seen_at", "last_seen_at"), field, wrong)
    wrong.raise_if_any()


def _check_string(value: str, field: str, wrong: Violations) -> None:
    if (length := len(value.encode())) > MAX_STRING_BYTES:
        wrong.add(field, f"has {length} bytes; at most {MAX_STRING_BYTES} are allowed")


def _check_times(message: Message, names: Sequence[str], field: str, wrong: Violations) -> None:
    for name in names:
        if message.HasField(name):
            try:
                getattr(message, name).ToJsonString()
            except ValueError:
                wrong.add(f"{field}.{name}", "is not a valid time")


def vector(given: types.Vector, index: Definition) -> list[float]:
    """Reads a vector for an index. Its field is called "vector" in every request.

    Raises:
        InvalidRequestError: It is no vector that could be compared with any.
        VectorMismatchError: It cannot be compared with those of this index.
    """
    if not given.space:
        raise InvalidRequestError([("vector.space", "is not set; the embedder's answers carry it")])
    if given.space != index.space:
        what = f"is {given.space!r}; index {index.name!r} holds vectors of {index.space!r}"
        raise VectorMismatchError("SPACE_MISMATCH", "vector.space", what)
    values = list(given.values)
    if len(values) != index.options.dimensions:
        what = f"has {len(values)} values; index {index.name!r} has {index.options.dimensions}"
        raise VectorMismatchError("DIMENSION_MISMATCH", "vector.values", what)
    length = math.hypot(*values)
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
    raise InvalidRequestError([("vector.values", what)])


def search(request: pb.SearchRequest, index: Definition) -> KnnSearch:
    """Reads a SearchRequest.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
        VectorMismatchError: The vector cannot be compared with those of the index.
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
    for i, field in enumerate(request.fields):
        if field not in FIELDS:
            known = ", ".join(sorted(FIELDS))
            wrong.add(f"fields[{i}]", f"{field!r} is not a field of Document: {known}")
    min_score = request.min_score if request.HasField("min_score") else None
    if min_score is not None:
        _check_min_score(min_score, index.options.similarity, wrong)
    query = None
    if request.HasField("filter"):
        query = filters.to_query(request.filter, "filter", wrong)
    wrong.raise_if_any()
    values = vector(request.vector, index)
    return KnnSearch(values, k, candidates, query, tuple(request.fields), min_score)


def _check_min_score(value: float, similarity: str, wrong: Violations) -> None:
    least, most = {"cosine": (-1, 1), "dot_product": (-1, 1), "l2_norm": (0, 1)}.get(
        similarity, (-math.inf, math.inf)
    )
    if math.isnan(value) or not least <= value <= most or (similarity == "l2_norm" and value == 0):
        wrong.add("min_score", f"is {value:g}; scores of this index lie between {least} and {most}")
