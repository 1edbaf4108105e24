"""The gateway, called for whoever calls us. Only here is its stub used."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from imagesearch_web.keys import bearer
from imagesearch_web.problems import Moves, ProblemError, of_rpc_error
from service_kit.call_metrics import CallMetrics
from service_kit.client import channel
from service_kit.tls.client import ClientTls

if TYPE_CHECKING:
    from collections.abc import Awaitable

A = TypeVar("A")

_SERVICE = pb.DESCRIPTOR.services_by_name["ImageSearchService"]
_HEALTH_S = 2.0

# All that are no streams: storing and deleting the same again changes nothing.
_IDEMPOTENT = [
    f"{_SERVICE.full_name}/{method.name}"
    for method in _SERVICE.methods
    if not method.client_streaming and not method.server_streaming
]


class Gateway:
    """Calls the gateway, with the caller's key or else our own, always with a deadline.

    Args:
        opened: A channel to it.
        timeout_s: Longest for a call.
        idle_timeout_s: Longest between two messages of a stream.
        api_key: For callers who bring none. "": none either.
    """

    def __init__(
        self, opened: grpc.aio.Channel, timeout_s: float, idle_timeout_s: float, api_key: str
    ) -> None:
        stub: Any = pb_grpc.ImageSearchServiceStub(opened)
        self.stub: pb_grpc.ImageSearchServiceAsyncStub = stub
        self._health: Any = health_pb2_grpc.HealthStub(opened)
        self._timeout_s = timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._authorization = f"Bearer {api_key}" if api_key else ""

    async def answer(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Any, A]",
        message: Any,
        headers: Mapping[str, str],
        moves: Moves = (),
    ) -> A:
        """Gives the answer of a call. Being cancelled cancels the call.

        Args:
            method: The stub's.
            message: What is asked.
            headers: Of our caller's request.
            moves: What the gateway's fields are called in our caller's request.

        Raises:
            ProblemError: It failed.
        """
        metadata = self._metadata(headers)
        try:
            call: Awaitable[A] = method(message, timeout=self._timeout_s, metadata=metadata)
            return await call
        except grpc.aio.AioRpcError as broken:
            raise of_rpc_error(broken, moves) from broken

    async def answers(
        self,
        method: "grpc.aio.UnaryStreamMultiCallable[Any, A]",
        message: Any,
        headers: Mapping[str, str],
        moves: Moves = (),
    ) -> AsyncGenerator[A]:
        """Gives the answers of a call as they come. Closing the generator cancels the call.

        Raises:
            ProblemError: It failed.
        """
        call: Any = method(message, metadata=self._metadata(headers))
        try:
            while True:
                async with asyncio.timeout(self._idle_timeout_s):
                    answer = await call.read()
                if answer is grpc.aio.EOF:
                    return
                yield answer
        except grpc.aio.AioRpcError as broken:
            raise of_rpc_error(broken, moves) from broken
        except TimeoutError as late:
            what = f"nothing came from the gateway for {self._idle_timeout_s:.3g} s"
            raise ProblemError(504, "DEADLINE_EXCEEDED", what) from late
        finally:
            call.cancel()

    async def check(self) -> None:
        """Returns if the gateway, and what it needs, can do their work.

        Raises:
            ProblemError: They cannot.
        """
        request = health_pb2.HealthCheckRequest(service=_SERVICE.full_name)
        try:
            answer = await self._health.Check(request, timeout=_HEALTH_S)
        except grpc.aio.AioRpcError as error:
            raise of_rpc_error(error) from error
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            what = "the gateway, or a part behind it, cannot do its work now"
            raise ProblemError(503, "NOT_SERVING", what, retry_after_s=1.0)

    def _metadata(self, headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        authorization = bearer(headers) or self._authorization
        if not (authorization.isascii() and authorization.isprintable()):
            raise ProblemError(401, "UNAUTHENTICATED", "Authorization has letters it cannot have")
        return (("authorization", authorization),) if authorization else ()


def open_gateway(
    target: str,
    max_message_bytes: int,
    tls: ClientTls | None,
    metrics: CallMetrics | None = None,
) -> grpc.aio.Channel:
    """Opens a channel to the gateway. `metrics` counts its calls.

    Raises:
        CertificateError: The files of `tls` cannot be used.
    """
    return channel(
        target,
        idempotent=_IDEMPOTENT,
        max_message_bytes=max_message_bytes,
        tls=tls,
        metrics=metrics,
    )
