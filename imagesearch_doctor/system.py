"""The system that is examined: each question is asked once, whoever needs its answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc
from imagesearch.common.v1 import cluster_pb2
from imagesearch.common.v1 import server_service_pb2 as server_pb
from imagesearch.common.v1 import server_service_pb2_grpc as server_grpc
from imagesearch.gateway.v1 import diagnostics_pb2, image_search_service_pb2_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as gateway_pb
from imagesearch.search.v1 import (
    index_service_pb2,
    index_service_pb2_grpc,
    search_service_pb2_grpc,
)

from imagesearch_client import ImageSearchError
from imagesearch_client.errors import from_rpc_error, from_status
from imagesearch_doctor.targets import GATEWAY, SEARCH, Options, Target
from service_kit.client import channel

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a question led to: a value or an error.

    Attributes:
        value: None where there is an error.
        error: Why there is no value.
        seconds: How long it took.
        asked_at: When it was asked, in seconds since the epoch.
    """

    value: T | None
    error: ImageSearchError | None
    seconds: float
    asked_at: float


class System:
    """Servers and the answers they gave. Made and used within one event loop.

    Args:
        options: What to examine.

    Raises:
        CertificateError: The files of `options.access.tls` cannot be used.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.targets = {target.name: target for target in options.targets}
        self._channels = {
            name: channel(target.address, tls=options.access.tls)
            for name, target in self.targets.items()
        }
        self._asked: dict[str, asyncio.Task[Answer[Any]]] = {}
        stub: Any = image_search_service_pb2_grpc.ImageSearchServiceStub
        self.gateway = stub(self._channels[GATEWAY])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        for opened in self._channels.values():
            await opened.close()

    def channel(self, target: Target) -> grpc.aio.Channel:
        """The channel to a target."""
        return self._channels[target.name]

    async def call(self, method: Any, request: Any, *, with_key: bool = True) -> Any:
        """Calls a method of a stub, within the time of a check.

        Raises:
            ImageSearchError: It failed.
        """
        metadata = self.options.access.metadata if with_key else ()
        try:
            return await method(request, timeout=self.options.timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as broken:
            raise from_rpc_error(broken) from broken

    async def status(self) -> Answer[gateway_pb.GetStatusResponse]:
        """What GetStatus tells of the system and of the index."""
        request = gateway_pb.GetStatusRequest(index=self.options.index)
        return await self._once("status", lambda: self.call(self.gateway.GetStatus, request))

    async def diagnostics(self) -> Answer[diagnostics_pb2.GetDiagnosticsResponse]:
        """What the gateway tells of every part."""
        request = diagnostics_pb2.GetDiagnosticsRequest(write_to_store=self.options.write)
        return await self._once(
            "diagnostics", lambda: self.call(self.gateway.GetDiagnostics, request)
        )

    async def server(self, target: Target) -> Answer[server_pb.Server]:
        """What a server tells of itself, asked directly."""
        stub: Any = server_grpc.ServerServiceStub(self.channel(target))

        async def ask() -> server_pb.Server:
            request = server_pb.GetServerRequest()
            answer: server_pb.GetServerResponse = await self.call(stub.GetServer, request)
            return answer.server

        return await self._once(f"server {target.name}", ask)

    async def round_trip(self, target: Target) -> float:
        """Seconds of a call that does nothing, the shortest of three.

        Raises:
            ImageSearchError: One failed.
        """
        stub: Any = server_grpc.ServerServiceStub(self.channel(target))
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            await self.call(stub.GetServer, server_pb.GetServerRequest())
            taken.append(time.perf_counter() - began)
        return min(taken)

    async def servers(self) -> dict[str, server_pb.Server]:
        """What is known of each server, from itself or from the gateway."""
        told = (await self.diagnostics()).value
        found = {}
        if told is not None:
            found = {each.name: each.server for each in told.backends if each.HasField("server")}
        for target in self.targets.values():
            if (server := (await self.server(target)).value) is not None:
                found[target.name] = server
        return found

    async def cluster(self) -> Answer[cluster_pb2.Cluster]:
        """How Elasticsearch is: from search_service, or through the gateway."""
        if SEARCH in self.targets:
            return await self._once("cluster", self._cluster_directly)
        return await self._once("cluster", self._cluster_through_the_gateway)

    async def _cluster_directly(self) -> cluster_pb2.Cluster:
        request = index_service_pb2.GetClusterRequest()
        answer = await self.call(self.indexes.GetCluster, request)
        found: cluster_pb2.Cluster = answer.cluster
        return found

    async def _cluster_through_the_gateway(self) -> cluster_pb2.Cluster:
        answer = await self.diagnostics()
        if answer.value is None:
            assert answer.error is not None
            raise answer.error
        if answer.value.cluster.HasField("error"):
            raise from_status(answer.value.cluster.error)
        return answer.value.cluster.cluster

    @property
    def indexes(self) -> Any:
        """The stub of IndexService, where search_service's address was given."""
        stub: Any = index_service_pb2_grpc.IndexServiceStub
        return stub(self._channels[SEARCH])

    @property
    def documents(self) -> Any:
        """The stub of SearchService, where search_service's address was given."""
        stub: Any = search_service_pb2_grpc.SearchServiceStub
        return stub(self._channels[SEARCH])

    async def _once(self, name: str, ask: Callable[[], Awaitable[T]]) -> Answer[T]:
        if name not in self._asked:
            self._asked[name] = asyncio.create_task(_answer(ask))
        # A check that runs out of time must not take the answer from the others.
        return await asyncio.shield(self._asked[name])


async def _answer(ask: Callable[[], Awaitable[T]]) -> Answer[T]:
    asked_at, began = time.time(), time.perf_counter()
    try:
        value = await ask()
    except ImageSearchError as error:
        return Answer(None, error, time.perf_counter() - began, asked_at)
    return Answer(value, None, time.perf_counter() - began, asked_at)
