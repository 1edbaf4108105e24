"""Counts the calls that a server answers, whatever else refuses them further in."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
from prometheus_client import CollectorRegistry, Counter

from service_kit.call_metrics import LABELS, CallMetrics, MethodMetrics
from service_kit.errors import ServiceError, reason_of
from service_kit.interceptors import Call, code_of

if TYPE_CHECKING:
    from service_kit.interceptors import Around, Context

Count = Callable[[], None]


class Metering:
    """Counts and times every call of all four kinds.

    Args:
        registry: Gets the counts.
        services: Full names of those whose methods are known before they are called.
    """

    def __init__(self, registry: CollectorRegistry, services: Iterable[str]) -> None:
        self._calls = CallMetrics(registry, "server")
        self._calls.expect(services)
        self._received = Counter(
            "grpc_server_msg_received", "Messages received.", LABELS, registry=registry
        )
        self._sent = Counter("grpc_server_msg_sent", "Messages sent.", LABELS, registry=registry)

    def wrap(self, method: str, kind: str, behavior: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps what runs a method's calls, and whatever else stands around them.

        Args:
            method: Full name, e.g. "/imagesearch.gateway.v1.ImageSearchService/SearchByText".
            kind: E.g. "unary_stream".
            behavior: Runs them.
        """
        requests, _, responses = kind.partition("_")
        streams = requests == "stream", responses == "stream"
        of_method = self._calls.of(method, *streams)
        received: Count = self._received.labels(*of_method.labels).inc
        sent: Count = self._sent.labels(*of_method.labels).inc
        if streams[0]:
            behavior, received = _counting_requests(received, behavior), _nothing
        inside = _stream_inside if streams[1] else _answer_inside
        wrapped: Callable[..., Any] = inside(of_method, received, sent, behavior)
        return wrapped


def counting_errors(registry: CollectorRegistry) -> "Around":
    """Counts what calls are refused with by its stable reason. Goes right inside `statuses`."""
    counter = Counter(
        "imagesearch_errors",
        "Calls that ended with an error that has a reason.",
        ("grpc_service", "grpc_method", "reason"),
        registry=registry,
    )

    @asynccontextmanager
    async def around(call: Call, context: "Context") -> AsyncIterator[None]:
        try:
            yield
        except ServiceError as error:
            service, _, name = call.method.removeprefix("/").partition("/")
            counter.labels(service, name or service, reason_of(error)).inc()
            raise

    return around


class _Counted:
    """A stream of requests, counted as they are read."""

    def __init__(self, requests: AsyncIterable[Any], count: Count) -> None:
        self._requests = requests
        self._count = count
        # Not made before it is asked for: a call that is refused never asks.
        self._reading: AsyncIterator[Any] | None = None

    def __aiter__(self) -> "_Counted":
        return self

    async def __anext__(self) -> Any:
        if self._reading is None:
            self._reading = aiter(self._requests)
        request = await anext(self._reading)
        self._count()
        return request


def _nothing() -> None:
    pass


def _counting_requests(received: Count, behavior: Callable[..., Any]) -> Any:
    def answer(requests: Any, context: "Context") -> Any:
        return behavior(_Counted(requests, received), context)

    return answer


def _answer_inside(
    of_method: MethodMetrics, received: Count, sent: Count, behavior: Callable[..., Any]
) -> Any:
    async def answer(request: Any, context: "Context") -> Any:
        began = of_method.begin()
        received()
        code = grpc.StatusCode.OK
        try:
            response = await behavior(request, context)
        except BaseException as error:
            code = _code_of_failure(error, context)
            raise
        else:
            code = code_of(context)
            sent()
            return response
        finally:
            of_method.end(began, code)

    return answer


def _stream_inside(
    of_method: MethodMetrics, received: Count, sent: Count, behavior: Callable[..., Any]
) -> Any:
    async def stream(request: Any, context: "Context") -> AsyncIterator[Any]:
        began = of_method.begin()
        received()
        code = grpc.StatusCode.OK
        try:
            async for response in behavior(request, context):
                sent()
                yield response
            code = code_of(context)
        except BaseException as error:
            code = _code_of_failure(error, context)
            raise
        finally:
            of_method.end(began, code)

    return stream


def _code_of_failure(error: BaseException, context: "Context") -> grpc.StatusCode:
    """What the caller sees of a call that ended with an exception."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        # grpc cancels the handler in both cases: the caller left, or its time was over.
        left = context.time_remaining()
        late = left is not None and left <= 0
        return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
    code = code_of(context)
    return grpc.StatusCode.UNKNOWN if code is grpc.StatusCode.OK else code
