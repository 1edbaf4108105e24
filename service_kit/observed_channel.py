"""A channel whose calls carry the request's id and its trace, and are counted and timed."""

from collections.abc import AsyncIterable, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from service_kit import request_context, tracing
from service_kit.call_metrics import CallMetrics, MethodMetrics
from service_kit.interceptors import is_infrastructure
from service_kit.wrapped_channel import WrappedChannel

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    AnyCall = grpc.aio.Call


class ObservedChannel(WrappedChannel):
    """Makes calls as the channel inside does.

    Args:
        inside: Makes the calls.
        metrics: Counts them; None: nothing does.
    """

    def __init__(self, inside: grpc.aio.Channel, metrics: CallMetrics | None = None) -> None:
        self._inside = inside
        self._metrics = metrics

    @property
    def inside(self) -> grpc.aio.Channel:
        """See WrappedChannel."""
        return self._inside

    def maker(self, kind: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """See WrappedChannel."""
        make = getattr(self._inside, kind)(method, *args, **kwargs)
        if is_infrastructure(method):
            return make
        asks, answers = (side == "stream" for side in kind.split("_"))
        metrics = None if self._metrics is None else self._metrics.of(method, asks, answers)
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
