"""What a composed query asks for: its terms, read and made vectors."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from google.rpc import error_details_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from gateway.clients.embedder import Embedder
from gateway.query_images import ImageSource, QueryImages, check_region, image_source
from service_kit.errors import InvalidRequestError, ServiceError, Violations

MAX_TERMS = 32

TEXT = "text"
VECTOR = "vector"
IMAGE = "image"


@dataclass(frozen=True)
class Term:
    """One thing that results should be like, or unlike.

    Attributes:
        kind: TEXT, VECTOR, or IMAGE for all kinds of images.
        field: Where in the request it is, e.g. "terms[2].text".
        weight: How much it counts; negative: unlike this.
        image: For IMAGE.
        text: For TEXT.
        vector: For VECTOR.
    """

    kind: str
    field: str
    weight: float = 1.0
    image: ImageSource | None = None
    text: str = ""
    vector: types.Vector | None = None


@dataclass(frozen=True)
class Resolved:
    """A term's vector.

    Attributes:
        kind: As of Term.
        field: As of Term.
        weight: As of Term.
        vector: As the embedder or the index has it.
        truncated: Its text was longer than the model reads.
    """

    kind: str
    field: str
    weight: float
    vector: types.Vector
    truncated: bool = False


def read_terms(request: queries_pb.SearchImagesRequest, wrong: Violations) -> list[Term]:
    """Reads the terms of a composed query; notes what is wrong with each."""
    if not 1 <= (count := len(request.terms)) <= MAX_TERMS:
        wrong.add("terms", f"has {count} items; 1 to {MAX_TERMS} are allowed")
    return [
        _term(term, request.index, f"terms[{i}].", wrong)
        for i, term in enumerate(request.terms[:MAX_TERMS])
    ]


def image_term(request: pb.SearchByImageRequest, wrong: Violations) -> Term:
    """Reads the one term of a search by image."""
    return _image_term(request, request.index, "", 1.0, wrong)


def _term(term: queries_pb.QueryTerm, index: str, prefix: str, wrong: Violations) -> Term:
    weight = term.weight if term.HasField("weight") else 1.0
    if not math.isfinite(weight) or weight == 0:
        wrong.add(f"{prefix}weight", f"is {weight:g}; it must be a number other than 0")
    kind = term.WhichOneof("source")
    if kind in (TEXT, VECTOR) and term.HasField("region"):
        wrong.add(f"{prefix}region", f"is for images, not for a {kind}")
    if kind == "text":
        return Term(TEXT, f"{prefix}text", weight, text=term.text)
    if kind == "vector":
        return Term(VECTOR, f"{prefix}vector", weight, vector=term.vector)
    if kind is None:
        what = "is not set; give image, url, image_id, text or vector"
        wrong.add(f"{prefix}source", what)
        return Term(IMAGE, prefix, weight)
    return _image_term(term, index, prefix, weight, wrong)


def _image_term(
    message: pb.SearchByImageRequest | queries_pb.QueryTerm,
    index: str,
    prefix: str,
    weight: float,
    wrong: Violations,
) -> Term:
    region = message.region if message.HasField("region") else None
    if region is not None:
        check_region(region, f"{prefix}region", wrong)
    own = Violations()
    source = image_source(message, index, own, prefix=prefix, region=region)
    wrong.add_all(own)
    return Term(IMAGE, source.field, weight, image=source)


async def resolve(terms: Sequence[Term], embedder: Embedder, images: QueryImages) -> list[Resolved]:
    """Makes a vector of each term, of all at the same time.

    Raises:
        InvalidRequestError: with every violation of every term, if any term can never work.
        ServiceError: What kept the first of the other terms from being had.
    """
    found = await asyncio.gather(
        *(_resolve(term, embedder, images) for term in terms), return_exceptions=True
    )
    errors = [each for each in found if isinstance(each, BaseException)]
    violations = [each for error in errors for each in _violations(error)]
    if violations:
        raise InvalidRequestError(violations, _reason(errors))
    if errors:
        raise errors[0]
    return [each for each in found if isinstance(each, Resolved)]


async def _resolve(term: Term, embedder: Embedder, images: QueryImages) -> Resolved:
    if term.kind == TEXT:
        vector, truncated = await embedder.embed_text(term.text, term.field)
        return Resolved(TEXT, term.field, term.weight, vector, truncated)
    if term.vector is not None:
        return Resolved(VECTOR, term.field, term.weight, term.vector)
    assert term.image is not None
    vector = await images.vector(term.image)
    return Resolved(IMAGE, term.field, term.weight, vector)


def _violations(error: BaseException) -> list[tuple[str, str]]:
    """Which fields an INVALID_ARGUMENT complains of."""
    if not isinstance(error, ServiceError):
        return []
    status = error.to_status()
    if status.code != InvalidRequestError.code.value[0]:
        return []
    bad = error_details_pb2.BadRequest()
    return [
        (violation.field, violation.description)
        for detail in status.details
        if detail.Unpack(bad)
        for violation in bad.field_violations
    ]


def _reason(errors: Sequence[BaseException]) -> str | None:
    """The reason that all of them give; None: they give several."""
    info = error_details_pb2.ErrorInfo()
    reasons = {
        info.reason
        for error in errors
        if isinstance(error, ServiceError) and _violations(error)
        for detail in error.to_status().details
        if detail.Unpack(info)
    }
    return reasons.pop() if len(reasons) == 1 else None
