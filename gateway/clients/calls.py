"""Calls to another service: within the caller's deadline, with its errors made ours."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2
from imagesearch.common.v1 import server_service_pb2 as server_pb

from gateway.errors import Moves, relocated
from service_kit import deadlines
from service_kit.deadlines import remaining
from service_kit.errors import (
    RemoteBugError,
    RemoteError,
    RemoteRefusalError,
    ServiceError,
    UnavailableError,
    from_rpc_error,
)
from service_kit.tls import refusals

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

_HEALTH_S = 2.0
_KEY_S = 0.5
_KEY_EVERY_S = 10.0


async def answer_of(
    method: "grpc.aio.UnaryUnaryMultiCallable[Any, T]",
    request: Any,
    service: str,
    timeout_s: float,
    moves: Moves = (),
) -> T:
    """Calls a method within our caller's deadline; raises its error as ours.

    Args:
        method: Of a stub.
        request: What is asked.
        service: Name of the other service, for errors.
        timeout_s: Longest for the call.
        moves: Where the other service's fields are in our caller's request.

    Raises:
        ServiceError: It failed.
    """
    deadlines.check(f"{service} was asked")
    try:
        call: Awaitable[T] = method(request, timeout=remaining(timeout_s))
        return await call
    except grpc.aio.AioRpcError as broken:
        error = from_rpc_error(broken, service)
        if isinstance(error, RemoteError):
            error = RemoteError(relocated(error.to_status(), moves))
        raise error from broken


async def check_health(stub: Any, name: str, service: str) -> None:
    """Returns if the service `name` can do its work.

    Raises:
        UnavailableError: It cannot, or does not answer.
    """
    request = health_pb2.HealthCheckRequest(service=name)
    try:
        answer = await stub.Check(request, timeout=remaining(_HEALTH_S))
    except grpc.aio.AioRpcError as error:
        why = refusals.reason(error.details() or "")
        what = f"{service} does not answer{': ' if why else ''}{why}"
        raise UnavailableError(what) from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise UnavailableError(f"{service} is not serving")


class RefusedError(UnavailableError):
    """Another service does its work, but not for us.

    Args:
        service: Name of the service.
        error: What it said.
    """

    def __init__(self, service: str, error: RemoteRefusalError) -> None:
        said = f"{service} refuses the gateway: {error.said}"
        if error.code is grpc.StatusCode.UNAUTHENTICATED:
            said = f"{service} asks for a key, and does not know the gateway's"
        super().__init__(said)


class KeyCheck:
    """Finds out whether another service takes our key: health it tells to everybody.

    Args:
        stub: Of its ServerService.
        service: Name of the service, for errors.
        clock: Seconds that only grow.
    """

    def __init__(
        self, stub: Any, service: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stub = stub
        self._service = service
        self._clock = clock
        self._good_until = clock()

    async def check(self) -> None:
        """Returns unless it is known that the key is not taken; asks every 10 s while it is.

        Raises:
            RefusedError: It is not.
        """
        if self._clock() < self._good_until:
            return
        request = server_pb.GetServerRequest()
        try:
            await answer_of(self._stub.GetServer, request, self._service, _KEY_S)
        except RemoteRefusalError as error:
            raise RefusedError(self._service, error) from error
        except (ServiceError, RemoteBugError):
            pass  # whether it can do its work is for its health to say
        self._good_until = self._clock() + _KEY_EVERY_S
