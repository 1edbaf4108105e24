"""What happens around every call: logging, errors to statuses, deadlines, counting."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc_status import rpc_status

from service_kit import deadlines
from service_kit.errors import DeadlineError, ServiceError
from service_kit.identity import callers

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]
    Around = Callable[["Call", Context], AbstractAsyncContextManager[None]]

log = structlog.get_logger()

MAKE_HANDLER: dict[str, Callable[..., Any]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}
"""Makes a handler of each kind."""

# Refusals that come by the thousand: under overload, or from who guesses keys.
_OFTEN = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAUTHENTICATED}


def kind_of(handler: "Handler") -> str:
    """The kind of a handler, e.g. "unary_stream"; its attribute of that name has the behaviour."""
    return (
        f"{'stream' if handler.request_streaming else 'unary'}_"
        f"{'stream' if handler.response_streaming else 'unary'}"
    )


def is_infrastructure(method: str) -> bool:
    """Whether a method is of health, reflection and the like: not the service's own work."""
    return method.startswith("/grpc.")


class Call:
    """What an interceptor may know of a call before it runs.

    Attributes:
        method: Full name, e.g. "/imagesearch.gateway.v1.ImageSearchService/SearchByText".
        streaming: Either side sends more than one message.
    """

    def __init__(self, method: str, streaming: bool) -> None:
        self.method = method
        self.streaming = streaming


class AroundInterceptor(grpc.aio.ServerInterceptor):
    """Runs every call, of all four kinds, inside context managers.

    Args:
        arounds: Make the context managers for one call, the outermost first.
    """

    def __init__(self, arounds: "Sequence[Around]") -> None:
        self._arounds = arounds
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Wraps the handler, if there is one; once a method, for it costs a tenth of a call."""
        method = handler_call_details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = await continuation(handler_call_details)
        if handler is None:  # unknown method: grpc answers UNIMPLEMENTED
            return None
        if is_infrastructure(method):
            return handler
        self._wrapped[method] = wrapped = self.wrap(method, handler)
        return wrapped

    def wrap(self, method: str, handler: "Handler") -> "Handler":
        """Makes a handler that runs another inside the context managers."""
        kind = kind_of(handler)
        call = Call(method, kind != "unary_unary")
        behavior = getattr(handler, kind)
        wrap = _stream_inside if handler.response_streaming else _answer_inside
        for around in reversed(self._arounds):
            behavior = wrap(around, call, behavior)
        wrapped: Handler = MAKE_HANDLER[kind](
            behavior, handler.request_deserializer, handler.response_serializer
        )
        return wrapped


def _answer_inside(around: "Around", call: Call, behavior: Callable[..., Any]) -> Any:
    async def answer(request: Any, context: "Context") -> Any:
        async with around(call, context):
            return await behavior(request, context)

    return answer


def _stream_inside(around: "Around", call: Call, behavior: Callable[..., Any]) -> Any:
    async def stream(request: Any, context: "Context") -> AsyncIterator[Any]:
        async with around(call, context):
            async for response in behavior(request, context):
                yield response

    return stream


@asynccontextmanager
async def statuses(call: Call, context: "Context") -> AsyncIterator[None]:
    """Turns exceptions into statuses. The only place in a service that does."""
    try:
        yield
    except ServiceError as error:
        await context.abort_with_status(rpc_status.to_status(error.to_status()))
    except (grpc.aio.AbortError, asyncio.CancelledError, GeneratorExit):
        raise
    except Exception:
        log.exception("call_failed", method=call.method, **callers.log_fields())
        await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the server's log")


def deadline(max_seconds: float) -> "Around":
    """Notes the call's deadline. Calls that are no streams get one if they bring none.

    Args:
        max_seconds: Longest that a call which is no stream may take.
    """

    @asynccontextmanager
    async def around(call: Call, context: "Context") -> AsyncIterator[None]:
        left: float | None = context.time_remaining()
        if call.streaming:
            deadlines.begin(left)
            yield
            return
        seconds = max_seconds if left is None else min(left, max_seconds)
        deadlines.begin(seconds)
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise DeadlineError(f"the call took longer than its {seconds:.3g} s") from error

    return around


class Logged:
    """Logs every call once, when it ends, with its status and time.

    Calls refused for want of room, or of a key, are the exception: there may be thousands, and
    writing of each would take the time to serve others. One a second is logged, with the number
    that was not.
    """

    def __init__(self) -> None:
        self._next_refusal_at = 0.0
        self._not_logged = 0

    @asynccontextmanager
    async def around(self, call: Call, context: "Context") -> AsyncIterator[None]:
        """Logs one call."""
        began = time.perf_counter()
        cancelled = False
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            cancelled = True
            raise
        finally:
            code = grpc.StatusCode.CANCELLED if cancelled else _code(context)
            if code not in _OFTEN or self._is_due():
                self._log(call, context, code, time.perf_counter() - began)

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next_refusal_at:
            self._not_logged += 1
            return False
        self._next_refusal_at = now + 1.0
        return True

    def _log(self, call: Call, context: "Context", code: grpc.StatusCode, seconds: float) -> None:
        fields: dict[str, Any] = {"ms": round(seconds * 1000, 1), **callers.log_fields()}
        if code is not grpc.StatusCode.OK:
            fields["error"] = context.details()
        if code in _OFTEN and self._not_logged:
            fields["not_logged"], self._not_logged = self._not_logged, 0
        level = log.info if code is grpc.StatusCode.OK else log.warning
        level("call", method=call.method, code=code.name, **fields)


def _code(context: "Context") -> grpc.StatusCode:
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return code
    return next((c for c in grpc.StatusCode if c.value[0] == code), grpc.StatusCode.OK)


class InFlight:
    """Counts the calls being answered, so that a drain knows when the last one is done."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def around(self, _call: Call, _context: "Context") -> AsyncIterator[None]:
        """Counts one call."""
        self._count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def idle(self) -> None:
        """Waits until no call is being answered."""
        await self._idle.wait()
