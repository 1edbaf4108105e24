"""Spans of calls, of their steps and of batches. Imported only where OpenTelemetry is used."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING

import grpc
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode

from service_kit import request_context
from service_kit.interceptors import Call, code_of
from service_kit.tracing import Attributes, Waiting

if TYPE_CHECKING:
    from service_kit.interceptors import Context as ServicerContext

_MOST_SPANS = 500
"""Most spans of the steps of one call in one process: a stream may have a million."""

_MOST_LINKS = 64

_NOTHING: AbstractContextManager[None] = nullcontext()

# As OpenTelemetry's conventions for gRPC have it: of the others the caller is to blame.
_SERVER_ERRORS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}

# Streams are cancelled by those who want no more of them.
_CLIENT_ERRORS = {*grpc.StatusCode} - {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}

_APART = 1
"""Trace id of all that is not traced; a sampler that heeds parents samples none of it."""

_UNSAMPLED = NonRecordingSpan(SpanContext(_APART, span_id=1, is_remote=False))

_left: ContextVar[list[int] | None] = ContextVar("spans_left", default=None)


class Spans:
    """Makes them, by the program's tracer provider."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("imagesearch")

    def stand_apart(self) -> None:
        """Lets nothing that the current context does be traced, but for the calls it answers."""
        otel_context.attach(trace.set_span_in_context(_UNSAMPLED))

    @asynccontextmanager
    async def around(self, call: Call, context: "ServicerContext") -> AsyncIterator[None]:
        """The span of a call that a server answers, a child of the caller's."""
        headers = {k: v for k, v in context.invocation_metadata() or () if isinstance(v, str)}
        span = self._begin(call.method.removeprefix("/"), headers, _of_rpc(call.method))
        code = grpc.StatusCode.OK
        try:
            yield
            code = code_of(context)
        except (asyncio.CancelledError, GeneratorExit):
            code = grpc.StatusCode.CANCELLED
            raise
        except BaseException:
            code = code_of(context)
            raise
        finally:
            end_call(span, code, _SERVER_ERRORS)

    @contextmanager
    def http_request(self, method: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """The span of an HTTP request being answered. Its name is for the caller to complete."""
        span = self._begin(method, headers, {"http.request.method": method})
        try:
            yield span
        finally:
            span.end()

    def _begin(self, name: str, headers: Mapping[str, str], attributes: Attributes) -> Span:
        parent = propagate.extract(headers, otel_context.Context())
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        # Not detached: each call is a task of its own, and its context ends with it.
        otel_context.attach(trace.set_span_in_context(span, parent))
        _left.set([_MOST_SPANS])
        return span

    def begin_call(self, method: str) -> tuple[Span | None, dict[str, str]]:
        """Begins the span of a call to another service; gives the headers that carry it.

        A call beyond the most spans carries the trace on, marked as not sampled.
        """
        carrier: dict[str, str] = {}
        current = trace.get_current_span().get_span_context()
        if current.trace_id == _APART:  # nor does it begin one where it is answered
            propagate.inject(carrier, trace.set_span_in_context(_UNSAMPLED))
            return None, carrier
        if current.is_valid and not self._take():
            unsampled = SpanContext(
                current.trace_id, current.span_id, is_remote=False, trace_state=current.trace_state
            )
            here = trace.set_span_in_context(NonRecordingSpan(unsampled))
            propagate.inject(carrier, here)
            return None, carrier
        span = self._tracer.start_span(
            method.removeprefix("/"), None, SpanKind.CLIENT, _of_rpc(method)
        )
        propagate.inject(carrier, trace.set_span_in_context(span))
        return span, carrier

    def step(self, name: str, attributes: Attributes | None) -> AbstractContextManager[object]:
        """See `tracing.span`."""
        if not trace.get_current_span().is_recording() or not self._take():
            return _NOTHING
        return self._step(name, attributes)

    @contextmanager
    def _step(self, name: str, attributes: Attributes | None) -> Iterator[Span]:
        # What exceptions say is not recorded: it may be a URL with a key, or a query.
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise

    def waiting(self, name: str) -> "Wait | None":
        """See `tracing.waiting`."""
        current = trace.get_current_span()
        if not current.is_recording() or not self._take():
            return None
        return Wait(self._tracer.start_span(name), current)

    def batch(
        self, name: str, waits: Sequence[Waiting | None], attributes: Attributes | None
    ) -> "Together":
        """See `tracing.batch`."""
        # Each once: one wait may be for several of the batch.
        traced = list({id(wait): wait for wait in waits if isinstance(wait, Wait)}.values())
        if not traced:
            return Together(_UNSAMPLED)
        links = [Link(wait.span.get_span_context()) for wait in traced[:_MOST_LINKS]]
        parent = trace.set_span_in_context(traced[0].caller)
        span = self._tracer.start_span(name, parent, attributes=attributes, links=links)
        for wait in traced:
            if wait.span.is_recording():  # else another batch had the others that waited
                wait.span.add_link(span.get_span_context())
                wait.end()
        return Together(span)

    def ids(self) -> tuple[str, str] | None:
        """See `tracing.ids`."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid or found.trace_id == _APART:
            return None
        return trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id)

    def _take(self) -> bool:
        """Whether one more span may be made for the current call."""
        left = _left.get()
        if left is None:
            return True
        left[0] -= 1
        return left[0] >= 0


class Wait:
    """A caller's wait for a batch."""

    def __init__(self, span: Span, caller: Span) -> None:
        self.span = span
        self.caller = caller

    def end(self) -> None:
        """Ends it, if it has not ended."""
        if self.span.is_recording():
            self.span.end()


class Together:
    """A batch, traced or not."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def enter(self) -> None:
        """Makes what the current task does from now on a part of it."""
        otel_context.attach(trace.set_span_in_context(self._span))
        _left.set([_MOST_SPANS])

    def end(self) -> None:
        """Ends it."""
        self._span.end()


def end_call(
    span: Span, code: grpc.StatusCode, errors: Collection[grpc.StatusCode] = _CLIENT_ERRORS
) -> None:
    """Ends a call's span; it failed if the code is one of `errors`."""
    span.set_attribute("rpc.response.status_code", code.name)
    if code in errors:
        span.set_status(StatusCode.ERROR, code.name)
    span.end()


def _of_rpc(method: str) -> Attributes:
    found = {"rpc.system.name": "grpc", "rpc.method": method.removeprefix("/")}
    if identity := request_context.request_id():
        found["imagesearch.request_id"] = identity
    return found
