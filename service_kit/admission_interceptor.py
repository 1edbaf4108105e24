"""Calls that there is no room for are refused at once, before any work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import grpc

from service_kit.admission import BYTES, PIXELS, Admission, AdmissionError, Permit
from service_kit.image_fields import PixelsOf, counting_pixels
from service_kit.interceptors import MAKE_HANDLER, AroundInterceptor, is_infrastructure, kind_of

if TYPE_CHECKING:
    from service_kit.interceptors import Context, Handler

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
        pixels_of: Counts the pixels of an image. None: they are not counted.
    """

    def __init__(
        self, admission: Admission, calls: AroundInterceptor, pixels_of: PixelsOf | None = None
    ) -> None:
        self._admission = admission
        self._calls = calls
        self._pixels_of = pixels_of
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
            method = self._methods[name] = _Method(name, handler, self._calls, self._pixels_of)
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
        handler: Does not begin with a request that there is no room for.
        refusing: Refuses. Whatever the method takes, this one takes a stream: grpc reads nothing
            of a stream by itself.
    """

    def __init__(
        self, name: str, handler: "Handler", calls: AroundInterceptor, pixels_of: PixelsOf | None
    ) -> None:
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
                _measuring(
                    handler.request_deserializer,
                    counting_pixels(name, pixels_of) if pixels_of is not None else None,
                ),
                handler.response_serializer,
            )


async def _refuse(_request: Any, _context: "Context") -> Any:
    raise _refused.get()


async def _refuse_stream(_requests: Any, _context: "Context") -> AsyncIterator[Any]:
    raise _refused.get()
    yield


def _measuring(
    deserialize: Callable[[bytes], Any] | None, pixels_in: Callable[[Any], int] | None
) -> Callable[[bytes], Any]:
    def measured(data: bytes) -> Any:
        permit = _permit.get()
        try:
            permit.hold(BYTES, len(data))
            request = data if deserialize is None else deserialize(data)
            if pixels_in is not None:
                permit.hold(PIXELS, pixels_in(request))
        except AdmissionError as error:
            _refused.set(error)
            return _UNREAD
        return request

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
