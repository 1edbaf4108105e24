"""A channel whose calls carry the request's id and its trace, and are counted and timed.

Not by gRPC's client interceptors: for asyncio those put a task and a call object of their own
around every call, which costs more than all that is done here.
"""

from collections.abc import AsyncIterable, Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from service_kit import request_context, tracing
from service_kit.call_metrics import CallMetrics, MethodMetrics
from service_kit.interceptors import is_infrastructure

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    AnyCall = grpc.aio.Call


class ObservedChannel(grpc.aio.Channel):
    """Makes calls as the channel inside does.

    Args:
        inside: Makes the calls.
        metrics: Counts them; None: nothing does.
    """

    def __init__(self, inside: grpc.aio.Channel, metrics: CallMetrics | None = None) -> None:
        self._inside = inside
        self._metrics = metrics

    async def __aenter__(self) -> Self:
        await self._inside.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self._inside.__aexit__(exc_type, exc_val, exc_tb)

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; see grpc.aio.Channel."""
        await self._inside.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Says how the connection is; see grpc.aio.Channel."""
        return self._inside.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the connection is otherwise; see grpc.aio.Channel."""
        await self._inside.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits for a connection; see grpc.aio.Channel."""
        await self._inside.channel_ready()

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method; see grpc.aio.Channel."""
        return self._method(method, self._inside.unary_unary(method, *args, **kwargs), False, False)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method; see grpc.aio.Channel."""
        return self._method(method, self._inside.unary_stream(method, *args, **kwargs), False, True)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method; see grpc.aio.Channel."""
        return self._method(method, self._inside.stream_unary(method, *args, **kwargs), True, False)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method; see grpc.aio.Channel."""
        return self._method(method, self._inside.stream_stream(method, *args, **kwargs), True, True)

    def _method(self, method: str, make: Any, *streams: bool) -> Any:
        if is_infrastructure(method):
            return make
        metrics = None if self._metrics is None else self._metrics.of(method, *streams)
        return partial(_call, method, make, metrics)


def _call(
    method: str,
    make: "Callable[..., AnyCall]",
    metrics: MethodMetrics | None,
    request: AsyncIterable[Any] | Any = None,
    *,
    metadata: Any = None,
    **options: Any,
) -> "AnyCall":
    headers = request_context.onward()
    span: Span | None = None
    if (spans := tracing.of_calls()) is not None:
        span, of_trace = spans.begin_call(method)
        if of_trace:
            headers = (*headers[:1], *of_trace.items())
    if headers:
        metadata = (*(metadata or ()), *headers)
    began = 0.0 if metrics is None else metrics.begin()
    try:
        call = make(request, metadata=metadata, **options)
    except BaseException:
        _end(metrics, span, began, grpc.StatusCode.INTERNAL)
        raise
    if metrics is not None or span is not None:
        call.add_done_callback(lambda done: _end(metrics, span, began, _code_of(done)))
    return call


def _end(
    metrics: MethodMetrics | None, span: "Span | None", began: float, code: grpc.StatusCode
) -> None:
    if metrics is not None:
        metrics.end(began, code)
    if span is not None:
        from service_kit.spans import end_call

        end_call(span, code)


def _code_of(call: Any) -> grpc.StatusCode:
    """The code of a call that is done: its coroutine then ends without waiting."""
    asking: Awaitable[grpc.StatusCode] = call.code()
    steps: Any = asking.__await__()
    try:
        steps.send(None)
    except StopIteration as answer:
        code: grpc.StatusCode = answer.value
        return code
    finally:
        steps.close()
    return grpc.StatusCode.UNKNOWN
