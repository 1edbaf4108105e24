"""Admission: calls that there is no room for are refused at once, and not read."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import structlog

from service_kit.errors import RetryableError
from service_kit.interceptors import MAKE_HANDLER, AroundInterceptor, is_infrastructure, kind_of
from service_kit.pace import Pace

if TYPE_CHECKING:
    from service_kit.interceptors import Context, Handler

log = structlog.get_logger()

CALLS, STREAMS, BYTES = "calls", "streams", "bytes"
"""What there may be no room for."""

# Calls in flight before the server's pace is known.
_FIRST = 256

_SHORTEST_RETRY_S, _USUAL_RETRY_S, _LONGEST_RETRY_S = 0.1, 1.0, 30.0


class AdmissionError(RetryableError):
    """The server has as much to do as it can do in good time. The call was not begun."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"


@dataclass(frozen=True)
class Limits:
    """What a server holds at most.

    Attributes:
        calls: Calls that are no streams.
        streams: Calls that are: they last, and must not take the places of others. What they hold
            is bounded where it is held.
        request_bytes: Bytes of the requests of all calls that are no streams of requests. One
            larger request alone is taken.
        wait_s: Fewer calls are taken if they could not be answered within so many seconds. 0: not.
    """

    calls: int
    streams: int
    request_bytes: int
    wait_s: float = 0.0


class Permit:
    """What one call holds, from before it is read until its answer is made."""

    def __init__(self, admission: "Admission", kind: str) -> None:
        self._admission = admission
        self._kind = kind
        self._bytes = 0
        self._left = False

    def hold(self, size: int) -> None:
        """Holds bytes too.

        Raises:
            AdmissionError: There is no room for them.
        """
        admission = self._admission
        if admission.request_bytes and (
            admission.request_bytes + size > admission.limits.request_bytes
        ):
            raise admission.refusal(BYTES)
        admission.request_bytes += size
        self._bytes = size

    def leave(self, _task: object = None, *, answered: bool = False) -> None:
        """Gives all back, once; says whether the call was answered."""
        if not self._left:
            self._left = True
            self._admission.leave(self._kind, self._bytes, answered)


class Admission:
    """Counts what a server holds. A call gets all that it needs, or is refused and holds nothing.

    All happens on the event loop.

    Args:
        limits: What it holds at most.

    Attributes:
        limits: The same.
        in_flight: Calls and streams that are being answered.
        peak: Most calls in flight since the last line in the log.
        request_bytes: Bytes of their requests.
        refused: How many were, by what there was no room for.
        pace: How many calls may be in flight now, and how fast they are answered.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = {CALLS: 0, STREAMS: 0}
        self.peak = 0
        self.request_bytes = 0
        self.refused: Counter[str] = Counter()
        self.pace = Pace(_FIRST, limits.calls, limits.wait_s)
        self._next_line_at = 0.0

    def enter(self, streaming: bool) -> Permit:
        """Takes a place for a call.

        Raises:
            AdmissionError: There is none.
        """
        kind, limit = (STREAMS, self.limits.streams) if streaming else (CALLS, self.pace.limit)
        if self.in_flight[kind] >= limit:
            raise self.refusal(kind)
        self.in_flight[kind] += 1
        self.peak = max(self.peak, self.in_flight[CALLS])
        return Permit(self, kind)

    def leave(self, kind: str, size: int, answered: bool) -> None:
        """Gives back what a call held; for permits only."""
        self.in_flight[kind] -= 1
        self.request_bytes -= size
        if kind == CALLS:
            self.pace.ended(self.in_flight[CALLS], time.monotonic(), answered)

    def refusal(self, kind: str) -> AdmissionError:
        """Counts a refusal, and makes its error."""
        self.refused[kind] += 1
        now = time.monotonic()
        if kind == CALLS:
            self.pace.full(now)
        self._note(now)
        what = f"too many {kind} are being answered" if kind != BYTES else "no room for the request"
        return AdmissionError(f"{what}; come back later", self._until_free())

    def _until_free(self) -> timedelta:
        """Estimates when the calls that are in flight now will have been answered."""
        rate = self.pace.rate
        seconds = self.in_flight[CALLS] / rate if rate else _USUAL_RETRY_S
        return timedelta(seconds=min(max(seconds, _SHORTEST_RETRY_S), _LONGEST_RETRY_S))

    def _note(self, now: float) -> None:
        """Tells the log, once a second while calls are refused."""
        if now < self._next_line_at:
            return
        self._next_line_at = now + 1.0
        log.warning(
            "overloaded",
            calls=self.in_flight[CALLS],
            peak_calls=self.peak,
            max_calls=self.pace.limit,
            streams=self.in_flight[STREAMS],
            request_bytes=self.request_bytes,
            refused=dict(self.refused),
            calls_a_second=self.pace.rate and round(self.pace.rate, 1),
        )
        self.peak = self.in_flight[CALLS]


_permit: ContextVar[Permit] = ContextVar("permit")
_refused: ContextVar[AdmissionError] = ContextVar("refused")

_UNREAD = object()
"""Instead of a request that there was no room for."""


class AdmissionInterceptor(grpc.aio.ServerInterceptor):
    """Takes a place for each call before grpc reads its request, and frees it at the end.

    Refused calls run through what is around all calls, so that they are logged and counted as
    others are. Health, reflection and the like are never refused.

    The place is freed with grpc's task for the call at the latest, and not with the handler alone:
    that never runs for a call which is cancelled before its request has come. This must come
    before interceptors that keep handlers: every call has to pass here.

    Args:
        admission: Counts.
        calls: What is around all calls.
    """

    def __init__(self, admission: Admission, calls: AroundInterceptor) -> None:
        self._admission = admission
        self._calls = calls
        self._methods: dict[str, _Method] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Gives the method's handler, or one that refuses."""
        name = handler_call_details.method
        if (method := self._methods.get(name)) is None:
            handler = await continuation(handler_call_details)
            if handler is None or is_infrastructure(name):
                return handler
            method = self._methods[name] = _Method(name, handler, self._calls)
        try:
            permit = self._admission.enter(method.streaming)
        except AdmissionError as error:
            _refused.set(error)
            return method.refusing
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(permit.leave)
        _permit.set(permit)
        return method.handler


class _Method:
    """A method's handler, and one that refuses.

    Attributes:
        streaming: Either side sends more than one message.
        handler: Does not read a request that there is no room for.
        refusing: Refuses. Whatever the method takes, this one takes a stream: grpc reads nothing
            of a stream by itself.
    """

    def __init__(self, name: str, handler: "Handler", calls: AroundInterceptor) -> None:
        kind = kind_of(handler)
        self.streaming = kind != "unary_unary"
        self.handler = handler
        self.refusing = calls.wrap(name, grpc.stream_stream_rpc_method_handler(_refuse_stream))
        if not handler.request_streaming:
            refuse = _refuse_stream if handler.response_streaming else _refuse
            refusing = getattr(calls.wrap(name, MAKE_HANDLER[kind](refuse)), kind)
            choose = _stream if handler.response_streaming else _answer
            self.handler = MAKE_HANDLER[kind](
                choose(getattr(handler, kind), refusing),
                _measuring(handler.request_deserializer),
                handler.response_serializer,
            )


async def _refuse(_request: Any, _context: "Context") -> Any:
    raise _refused.get()


async def _refuse_stream(_requests: Any, _context: "Context") -> AsyncIterator[Any]:
    raise _refused.get()
    yield


def _measuring(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    def measured(data: bytes) -> Any:
        try:
            _permit.get().hold(len(data))
        except AdmissionError as error:
            _refused.set(error)
            return _UNREAD
        return data if deserialize is None else deserialize(data)

    return measured


def _answer(behavior: Callable[..., Any], refusing: Callable[..., Any]) -> Any:
    async def answer(request: Any, context: "Context") -> Any:
        if request is _UNREAD:
            return await refusing(request, context)
        response = await behavior(request, context)
        # Not when it was sent: the caller's next call may be here soon after.
        _permit.get().leave(answered=True)
        return response

    return answer


def _stream(behavior: Callable[..., Any], refusing: Callable[..., Any]) -> Any:
    async def stream(request: Any, context: "Context") -> AsyncIterator[Any]:
        async for response in (refusing if request is _UNREAD else behavior)(request, context):
            yield response

    return stream
