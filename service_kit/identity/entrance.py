"""The way in: calls are refused by their name and headers, before a message of theirs is read."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc

from service_kit.errors import ServiceError
from service_kit.identity import callers
from service_kit.identity.access import Rules
from service_kit.identity.errors import NoAccessError, UnauthenticatedError
from service_kit.identity.guard import Guard
from service_kit.identity.messages import MessageInterceptor
from service_kit.interceptors import AroundInterceptor, is_infrastructure, statuses

if TYPE_CHECKING:
    from service_kit.interceptors import Handler

# The name in logs and metrics of methods that there are not: callers may make up any number.
_UNKNOWN = "unknown"


def interceptors(guard: Guard, calls: AroundInterceptor) -> list[grpc.aio.ServerInterceptor]:
    """What a server needs, the outermost first: `calls`, the guard's own `arounds` among it."""
    if not guard.is_on:
        return [calls]
    rules = Rules()
    return [Entrance(guard, rules, calls), calls, MessageInterceptor(rules)]


class Entrance(grpc.aio.ServerInterceptor):
    """Decides by a call's name and headers alone: who is refused is not read a message of.

    Args:
        guard: Knows callers.
        rules: Say who may call what.
        calls: What is around all calls; refusals are logged and counted by it as well.
    """

    def __init__(self, guard: Guard, rules: Rules, calls: AroundInterceptor) -> None:
        self._guard = guard
        self._rules = rules
        self._calls = calls
        self._infrastructure = AroundInterceptor((statuses, *guard.arounds))
        self._refusing: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Gives the method's handler, or one that refuses."""
        method = handler_call_details.method
        rule = self._rules.of(method)
        if rule is not None and rule.is_open:
            return await continuation(handler_call_details)
        try:
            await self._guard.admit(rule, handler_call_details.invocation_metadata)
        except ServiceError as error:
            return self._refuse(error, _UNKNOWN if rule is None else method)
        handler = await continuation(handler_call_details)
        if handler is None:  # grpc answers UNIMPLEMENTED
            return None
        if rule is None:
            return self._refuse(NoAccessError(), method)
        if is_infrastructure(method):  # those are not wrapped otherwise
            return self._infrastructure.wrap(method, handler)
        return handler

    def _refuse(self, error: ServiceError, method: str) -> "Handler":
        callers.refuse(error)
        if (handler := self._refusing.get(method)) is None:
            # Whatever the method takes: grpc reads nothing for a handler of streams by itself.
            handler = self._calls.wrap(method, grpc.stream_stream_rpc_method_handler(_nothing))
            self._refusing[method] = handler
        return handler


async def _nothing(_requests: Any, _context: Any) -> AsyncIterator[Any]:
    """Is never reached: the guard's part of what is around it raises."""
    raise UnauthenticatedError("nobody was let in")
    yield
