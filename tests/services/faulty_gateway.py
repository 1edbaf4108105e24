"""A gateway that fails as it is told, for what a real one does too seldom to test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.gateway.v1 import versions_pb2 as versions_pb

SECRET = "password=hunter2 at ipv4:10.0.0.7:9200"


class FaultyGateway(pb_grpc.ImageSearchServiceServicer):  # type: ignore[misc]
    """Answers GetStatus with the status that the index is named after.

    Searches and scans wait until they are cancelled.

    Attributes:
        authorizations: What callers of GetStatus brought.
        begun: Set when something waits.
        cancelled: Set when it has been cancelled.
        scan_ids: Of scans that were asked for.
    """

    def __init__(self) -> None:
        self.authorizations: list[str] = []
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.scan_ids: list[str] = []

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        """Fails, or tells nothing."""
        metadata = dict(context.invocation_metadata())
        self.authorizations.append(metadata.get("authorization", ""))
        if request.index:
            await context.abort(grpc.StatusCode[request.index], SECRET)
        return pb.GetStatusResponse()

    async def SearchImages(
        self, request: queries_pb.SearchImagesRequest, context: Any
    ) -> queries_pb.SearchImagesResponse:
        """Never ends."""
        await self._wait()
        return queries_pb.SearchImagesResponse()

    async def FindDuplicates(
        self, request: versions_pb.FindDuplicatesRequest, context: Any
    ) -> AsyncIterator[versions_pb.FindDuplicatesResponse]:
        """Says that it has begun, and never ends."""
        self.scan_ids.append(request.scan_id)
        progress = versions_pb.ScanProgress(scan_id="scan-1", total_count=5)
        yield versions_pb.FindDuplicatesResponse(progress=progress)
        await self._wait()

    async def _wait(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@asynccontextmanager
async def serving(gateway: FaultyGateway) -> AsyncIterator[str]:
    """Serves it; gives its address."""
    server = grpc.aio.server()
    pb_grpc.add_ImageSearchServiceServicer_to_server(gateway, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
