"""Looks at the messages of calls: which indexes they name, and how fast they come."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from service_kit.identity import callers
from service_kit.identity.access import Rule, Rules
from service_kit.identity.callers import Caller
from service_kit.identity.errors import IndexDeniedError, UnauthenticatedError
from service_kit.interceptors import MAKE_HANDLER, is_infrastructure, kind_of

if TYPE_CHECKING:
    from service_kit.interceptors import Handler


class MessageInterceptor(grpc.aio.ServerInterceptor):
    """Refuses messages about indexes that the caller may not use: of streams, every message.

    Its place is inside of what turns errors into statuses. There it is asked once a method.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Wraps the handler, if its messages matter."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        rule = self._rules.of(method)
        if handler is None or rule is None or is_infrastructure(method):
            return handler
        if not rule.index_fields and not handler.request_streaming:
            return handler
        kind = kind_of(handler)
        wrap = _each_checked if handler.request_streaming else _checked
        wrapped: Handler = MAKE_HANDLER[kind](
            wrap(rule, getattr(handler, kind)),
            handler.request_deserializer,
            handler.response_serializer,
        )
        return wrapped


def _checked(rule: Rule, behavior: Callable[..., Any]) -> Any:
    def answer(request: Message, context: Any) -> Any:
        _check(_caller(), rule, request)
        return behavior(request, context)

    return answer


def _each_checked(rule: Rule, behavior: Callable[..., Any]) -> Any:
    def answer(requests: AsyncIterator[Message], context: Any) -> Any:
        return behavior(_Checked(requests, rule, _caller()), context)

    return answer


class _Checked:
    """The messages of a stream, each looked at. No generator: it needs no closing."""

    def __init__(self, messages: AsyncIterator[Message], rule: Rule, caller: Caller) -> None:
        self._messages = aiter(messages)
        self._rule = rule
        self._caller = caller

    def __aiter__(self) -> "_Checked":
        return self

    async def __anext__(self) -> Message:
        message = await anext(self._messages)
        _check(self._caller, self._rule, message)
        await self._caller.limiter.wait()
        return message


def _caller() -> Caller:
    caller = callers.current()
    if caller is None:
        raise UnauthenticatedError("nobody was let in")
    return caller


def _check(caller: Caller, rule: Rule, message: Message) -> None:
    if caller.every_index:
        return
    for index in rule.indexes_in(message):
        if not caller.may_use(index):
            raise IndexDeniedError(index or callers.DEFAULT_INDEX)
