"""Options of indexes: messages to domain values and back, and what can be wrong with them."""

import base64
import binascii
import math
import re

from imagesearch.search.v1 import index_service_pb2 as pb

from image_kit.naming import check_index_name
from search_service.mappings import (
    DEFAULT_DIMENSIONS,
    DEFAULT_EF_CONSTRUCTION,
    DEFAULT_M,
    Options,
)
from service_kit.errors import Violations

MAX_DIMENSIONS = 4_096
MAX_SPACE_BYTES = 8_192
MAX_PAGE = 1_000
DEFAULT_PAGE = 100

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SNAPSHOT = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")


def new_index(request: pb.CreateIndexRequest) -> tuple[str, str, Options]:
    """Reads a CreateIndexRequest: name, space and options.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    name = check_index_name(request.name, "name", wrong)
    if not request.space:
        wrong.add("space", "is not set; the embedder's GetModel gives it")
    elif len(request.space.encode()) > MAX_SPACE_BYTES:
        wrong.add("space", f"has more than {MAX_SPACE_BYTES} bytes")
    options = read_options(request.options, wrong)
    wrong.raise_if_any()
    return name, request.space, options


def read_options(given: pb.IndexOptions, wrong: Violations) -> Options:
    """Reads options, with defaults for what is not set; notes what is wrong with them."""
    kind = _enum_name(given.vector_type, pb.VectorType, "VECTOR_TYPE_", "int8_hnsw")
    similarity = _enum_name(given.similarity, pb.Similarity, "SIMILARITY_", "cosine")
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
    replicas = _replicas(given, "options.replicas", wrong)
    refresh_ms = _refresh_ms(given, "options.refresh_interval", wrong)
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


def _replicas(
    given: pb.IndexOptions | pb.UpdateIndexRequest, field: str, wrong: Violations
) -> int | None:
    replicas = given.replicas if given.HasField("replicas") else None
    if replicas is not None and not 0 <= replicas <= 9:
        wrong.add(field, f"is {replicas}; 0 to 9 are allowed")
    return replicas


def _refresh_ms(
    given: pb.IndexOptions | pb.UpdateIndexRequest, field: str, wrong: Violations
) -> int | None:
    if not given.HasField("refresh_interval"):
        return None
    milliseconds = given.refresh_interval.ToMilliseconds()
    if not 100 <= milliseconds <= 86_400_000:
        wrong.add(field, "must be from 100 ms to one day")
    return milliseconds


def _enum_name(
    value: int,
    enum: "type[pb.VectorType] | type[pb.Similarity]",
    prefix: str,
    default: str,
) -> str | None:
    """Elasticsearch's name of an enum value; None for a value that is not known."""
    if value == 0:
        return default
    if value not in enum.values():
        return None
    return enum.Name(value).removeprefix(prefix).lower()  # type: ignore[arg-type]


def options_message(options: Options) -> pb.IndexOptions:
    """Renders options, defaults filled in."""
    message = pb.IndexOptions(
        dimensions=options.dimensions,
        similarity=pb.Similarity.Value(f"SIMILARITY_{options.similarity.upper()}"),
        vector_type=pb.VectorType.Value(f"VECTOR_TYPE_{options.vector_type.upper()}"),
        m=options.m,
        ef_construction=options.ef_construction,
        shards=options.shards,
        replicas=options.replicas,
    )
    if options.refresh_ms is not None:
        message.refresh_interval.FromMilliseconds(options.refresh_ms)
    return message


def update(request: pb.UpdateIndexRequest) -> tuple[str, int | None, int | None]:
    """Reads an UpdateIndexRequest: name, replicas, and milliseconds between refreshes.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    if not request.name:
        wrong.add("name", "is not set")
    name = check_index_name(request.name, "name", wrong)
    replicas = _replicas(request, "replicas", wrong)
    refresh_ms = _refresh_ms(request, "refresh_interval", wrong)
    if replicas is None and refresh_ms is None:
        wrong.add("replicas", "or refresh_interval must be set")
    wrong.raise_if_any()
    return name, replicas, refresh_ms


def recall(request: pb.MeasureRecallRequest) -> tuple[int, int, list[int]]:
    """Reads a MeasureRecallRequest: samples, k, and values of num_candidates.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    if not 0 <= request.samples <= 1_000:
        wrong.add("samples", f"is {request.samples}; 1 to 1000 are allowed")
    k = request.k or 10
    if not 1 <= k <= 100:
        wrong.add("k", f"is {k}; 1 to 100 are allowed")
    candidates = list(request.num_candidates) or [max(100, math.ceil(1.5 * k))]
    if len(candidates) > 10:
        wrong.add("num_candidates", f"has {len(candidates)} items; 10 are allowed")
    for i, each in enumerate(candidates):
        if not k <= each <= 10_000:
            what = f"is {each}; from k, which is {k}, to 10000 is allowed"
            wrong.add(f"num_candidates[{i}]", what)
    wrong.raise_if_any()
    return request.samples or 100, k, candidates


def check_snapshot(repository: str, snapshot: str) -> None:
    """Checks the names of a repository and of a snapshot.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    if not _REPOSITORY.fullmatch(repository):
        wrong.add("repository", "is not a name of a snapshot repository")
    if not _SNAPSHOT.fullmatch(snapshot):
        what = "is not a name: lower-case letters, digits, '-', '_', '.', not starting with '_'"
        wrong.add("snapshot", what)
    wrong.raise_if_any()


def page(request: pb.ListIndexesRequest) -> tuple[int, str]:
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
