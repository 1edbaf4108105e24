"""Requests about revisions: messages to domain values, and what can be wrong with them."""

import math

from imagesearch.search.v1 import revision_service_pb2 as pb

from image_kit.naming import check_index_name
from search_service.index_wire import MAX_SPACE_BYTES, read_options
from search_service.mappings import Options
from search_service.revisions import Gate
from service_kit.errors import Violations

MAX_SAMPLES = 1_000


def required(name: str) -> str:
    """Reads the name of an index that must be given.

    Raises:
        InvalidRequestError: It is not, or no index can have it.
    """
    wrong = Violations()
    if not name:
        wrong.add("name", "is not set; the default index is not changed by default")
    check_index_name(name, "name", wrong)
    wrong.raise_if_any()
    return name


def number(given: int) -> int:
    """Reads the number of a revision.

    Raises:
        InvalidRequestError: It is not set.
    """
    wrong = Violations()
    if given < 1:
        wrong.add("revision", f"is {given}; ListRevisions gives the numbers")
    wrong.raise_if_any()
    return given


def samples(given: int, default: int) -> int:
    """Reads how many documents to sample.

    Raises:
        InvalidRequestError: Too many, or less than none.
    """
    wrong = Violations()
    if not 0 <= given <= MAX_SAMPLES:
        wrong.add("samples", f"is {given}; 1 to {MAX_SAMPLES} are allowed")
    wrong.raise_if_any()
    return given or default


def new(request: pb.CreateRevisionRequest) -> tuple[str, Options | None]:
    """Reads a CreateRevisionRequest: space and options; empty or None: as the live one.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    if len(request.space.encode()) > MAX_SPACE_BYTES:
        wrong.add("space", f"has more than {MAX_SPACE_BYTES} bytes")
    options = read_options(request.options, wrong) if request.HasField("options") else None
    wrong.raise_if_any()
    return request.space, options


def rebuilt(request: pb.RebuildIndexRequest, live: Options) -> Options:
    """Reads the options of a RebuildIndexRequest.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    if not request.HasField("options"):
        return live
    wrong = Violations()
    given = request.options
    dimensions = given.dimensions
    if not dimensions:
        given.dimensions = live.dimensions
    elif dimensions != live.dimensions:
        what = f"is {dimensions}; a rebuild keeps the vectors, which have {live.dimensions} values"
        wrong.add("options.dimensions", what)
    options = read_options(given, wrong)
    wrong.raise_if_any()
    return options


def gate(given: pb.Gate) -> Gate:
    """Reads what a revision must be like.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    least = given.min_overlap if given.HasField("min_overlap") else None
    if least is not None and (math.isnan(least) or not 0 <= least <= 1):
        wrong.add("gate.min_overlap", f"is {least:g}; 0 to 1 is allowed")
    wrong.raise_if_any()
    return Gate(least, given.open)
