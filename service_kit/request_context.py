"""What ties together the log lines and the calls that one request makes in all services.

The gateway, or whichever service is asked first, gives a request an id, unless its caller has;
every line that is logged for it carries the id, every error tells it, and every call onwards
passes it on as `x-request-id`. A trace's headers are passed on beside it, also by a service that
takes no part in the trace.
"""

import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from service_kit.interceptors import Call, Context

REQUEST_ID = "x-request-id"

_TRACE_HEADERS = ("traceparent", "tracestate")
_LONGEST_HEADER = 512

# It is written into logs and headers as it comes.
_WELL_FORMED = re.compile(r"[!-~]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RequestContext:
    """The request being answered.

    Attributes:
        request_id: Its id.
        trace_headers: Of W3C Trace Context, as they came.
    """

    request_id: str
    trace_headers: Headers = ()


_current: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def new_id() -> str:
    """Makes an id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def begin(headers: Iterable[tuple[str, str | bytes]]) -> RequestContext:
    """Says which request the current task answers from now on.

    Args:
        headers: Of the request. An id that is longer than 128 characters or has others than
            printable ASCII is replaced.
    """
    request_id = ""
    trace: Headers = ()
    for name, value in headers:
        if not isinstance(value, str):
            continue
        if name == REQUEST_ID and _WELL_FORMED.fullmatch(value):
            request_id = value
        elif name in _TRACE_HEADERS and len(value) <= _LONGEST_HEADER:
            trace += ((name, value),)
    request = RequestContext(request_id or new_id(), trace)
    _current.set(request)
    return request


def leave() -> None:
    """Says that what the current task does from now on is for no one request."""
    _current.set(None)


def request_id() -> str:
    """Id of the request being answered; "" outside of one."""
    request = _current.get()
    return "" if request is None else request.request_id


def trace_ids() -> tuple[str, str] | None:
    """Ids of the trace that came with the request, and of the span it was sent in."""
    request = _current.get()
    if request is None:
        return None
    for name, value in request.trace_headers:
        if name == "traceparent" and (found := _TRACEPARENT.match(value)):
            return found[1], found[2]
    return None


def onward() -> Headers:
    """Headers for a call to another service that the request being answered makes."""
    request = _current.get()
    if request is None:
        return ()
    return ((REQUEST_ID, request.request_id), *request.trace_headers)


@asynccontextmanager
async def around(_call: "Call", context: "Context") -> AsyncIterator[None]:
    """Begins each call that a server answers. Goes outside of all that log or refuse."""
    begin(context.invocation_metadata() or ())
    yield


def told(status: status_pb2.Status) -> status_pb2.Status:
    """Adds the id to the details of an error, unless it is there already."""
    identity = request_id()
    kind: Any = error_details_pb2.RequestInfo.DESCRIPTOR
    if identity and not any(detail.Is(kind) for detail in status.details):
        status.details.add().Pack(error_details_pb2.RequestInfo(request_id=identity))
    return status
