"""Bodies of requests, read with a bound."""

import asyncio
import json
from typing import Any, Never

from starlette.requests import Request

from imagesearch_web.problems import ProblemError, invalid

MAX_JSON_BYTES = 1024 * 1024


def announced(request: Request, most: int) -> int:
    """Gives how many bytes the body says it has; `most` where it does not say.

    Raises:
        ProblemError: More than `most`.
    """
    length = request.headers.get("content-length")
    if length is None or not length.isdecimal():
        return most
    if int(length) > most:
        raise _too_large(most)
    return int(length)


async def read(request: Request, most: int, timeout_s: float) -> bytes:
    """Reads a body; no more of it than `most` bytes.

    Raises:
        ProblemError: It is larger, or does not come in `timeout_s` seconds.
        ClientDisconnect: The client has gone.
    """
    announced(request, most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError as late:
        what = f"the request did not come within {timeout_s:.3g} s"
        raise ProblemError(408, "REQUEST_TOO_SLOW", what) from late
    return b"".join(parts)


async def read_json(request: Request, timeout_s: float) -> dict[str, Any]:
    """Reads a body that is a JSON object.

    Raises:
        ProblemError: It is none.
        ClientDisconnect: The client has gone.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(415, "MEDIA_TYPE_UNSUPPORTED", "the body must be application/json")
    data = await read(request, MAX_JSON_BYTES, timeout_s)
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except RecursionError as error:
        raise invalid("body", "is nested too deeply", "JSON_INVALID") from error
    except ValueError as error:  # of UnicodeDecodeError and JSONDecodeError too
        raise invalid("body", f"is no JSON: {error}", "JSON_INVALID") from error
    if not isinstance(value, dict):
        raise invalid("body", "is no JSON object", "JSON_INVALID")
    return value


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is no number of JSON")


def _too_large(most: int) -> ProblemError:
    what = f"the body has more than {most} bytes"
    return ProblemError(413, "BODY_TOO_LARGE", what)
