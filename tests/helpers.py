"""What several tests need: makers with names and seeds, and waiting."""

import asyncio
import hashlib
import io
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import grpc
import pillow_heif
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from imagesearch.common.v1 import types_pb2 as types
from PIL import Image

from imagesearch_dev.drawings import draw, random_drawing

T = TypeVar("T")

SPACE = "test-model@sha256:0123456789abcdef"


def unit_vector(seed: int, dimensions: int = 16) -> list[float]:
    """A random vector of unit length."""
    rng = random.Random(seed)
    values = [rng.gauss(0, 1) for _ in range(dimensions)]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]


def image_id(seed: object) -> str:
    """An id as images have it."""
    return hashlib.sha256(str(seed).encode()).hexdigest()


def a_picture(seed: int, side: int = 96, fmt: str = "PNG", **options: Any) -> bytes:
    """An encoded drawing; another seed, another drawing."""
    return encoded(draw(random_drawing(random.Random(seed)), side), fmt, **options)


def the_picture(n: int) -> bytes:
    """The n-th image of the index that the tests of the page's server share."""
    return a_picture(n, 600, "JPEG", quality=90)


def id_of(data: bytes) -> str:
    """The id that an encoded image has."""
    return hashlib.sha256(data).hexdigest()


def encoded(image: Image.Image, fmt: str, **options: Any) -> bytes:
    """An image as a file of a format."""
    buffer = io.BytesIO()
    if fmt == "HEIF":  # what is deployed reads it and does not write it
        exif = options.pop("exif", Image.Exif())
        pillow_heif.from_pillow(image).save(buffer, exif=exif.tobytes(), **options)
    else:
        image.save(buffer, fmt, **options)
    return buffer.getvalue()


async def each(items: Iterable[T]) -> AsyncIterator[T]:
    """A stream of requests."""
    for item in items:
        yield item


async def eventually(
    check: Callable[[], Awaitable[T]], timeout_s: float = 30.0, pause_s: float = 0.1
) -> T:
    """Tries until `check` neither fails nor raises; then its result. At last its error."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return await check()
        except (AssertionError, grpc.aio.AioRpcError, OSError):
            if time.monotonic() > end:
                raise
        await asyncio.sleep(pause_s)


class Refusal:
    """What a call failed with, read as a client would.

    Attributes:
        code: Status code.
        message: Status message.
        reason: Of ErrorInfo; "" without.
        fields: Paths of the field violations.
        retry: It says when to come back.
    """

    def __init__(self, status: status_pb2.Status) -> None:
        self.code = next(c for c in grpc.StatusCode if c.value[0] == status.code)
        self.message = status.message
        self.reason = ""
        self.fields: list[str] = []
        self.retry = False
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(info):
                self.reason = info.reason
            elif detail.Unpack(bad):
                self.fields = [violation.field for violation in bad.field_violations]
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                self.retry = True

    def __repr__(self) -> str:
        return f"{self.code.name} {self.reason} {self.fields} {self.message!r}"


async def refusal(call: Awaitable[Any]) -> Refusal:
    """What a call fails with; it must fail."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        status = rpc_status.from_call(error)
        if status is None:
            status = status_pb2.Status(code=error.code().value[0], message=error.details())
        return Refusal(status)
    raise AssertionError(f"it was not refused; the answer is {answer}")


def terms(field: str, *values: str) -> types.Filter:
    """A filter: the field has one of these strings."""
    listed = [types.FilterValue(text=value) for value in values]
    return types.Filter(terms=types.TermsCondition(field=field, values=listed))


def ids_of(results: Sequence[Any]) -> list[str]:
    """Ids of gateway results or of hits of search_service, in order."""
    return [(r.image if hasattr(r, "image") else r.document).image_id for r in results]
