"""Servers that answer at once: a gateway, and an embedder, without the work behind them.

`python -m benchmarks.stubs gateway ADDRESS` and `python -m benchmarks.stubs embedder ADDRESS`.
"""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from service_kit.health import LIVENESS
from service_kit.vectors import to_vector

DIMENSIONS = 512
SPACE = "stub@sha256:0000000000000000"


class StubGateway(pb_grpc.ImageSearchServiceServicer):
    """Says of every image that it is stored."""

    def __init__(self) -> None:
        self._made = False

    async def IndexImages(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: D102
        self._made = True
        async for request in request_iterator:
            indexed = pb.IndexedImage(outcome=types.UPSERT_OUTCOME_CREATED)
            yield pb.IndexImagesResponse(request_id=request.request_id, indexed=indexed)

    async def GetStatus(self, request: Any, context: Any) -> Any:  # noqa: D102
        status = pb.GetStatusResponse(
            components=[pb.ComponentStatus(name="search_service", serving=True)]
        )
        if self._made:
            status.index.name, status.index.space, status.index.revision = request.index, SPACE, 1
            status.index.created_at.FromSeconds(1)
        return status


class StubEmbedder(embedder_grpc.EmbedderServiceServicer):
    """Gives a vector by an image's digest."""

    async def ListModels(self, request: Any, context: Any) -> Any:  # noqa: D102
        model = embedder_pb.Model(name="stub", dimensions=DIMENSIONS, space=SPACE)
        return embedder_pb.ListModelsResponse(models=[model])

    async def StreamEmbed(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: D102
        async for request in request_iterator:
            seed = int.from_bytes(hashlib.sha256(request.input.image).digest()[:8], "little")
            values = np.random.default_rng(seed).standard_normal(DIMENSIONS, np.float32)
            values /= np.linalg.norm(values)
            vector = to_vector(values, SPACE)
            yield embedder_pb.StreamEmbedResponse(
                request_id=request.request_id, result=embedder_pb.EmbedResult(vector=vector)
            )


async def serve(what: str, address: str) -> None:
    """Serves until the process is ended."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 32 * 1024 * 1024)])
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    if what == "gateway":
        pb_grpc.add_ImageSearchServiceServicer_to_server(StubGateway(), server)  # type: ignore[abstract]
    else:
        embedder_grpc.add_EmbedderServiceServicer_to_server(StubEmbedder(), server)  # type: ignore[abstract]
    for name in (
        "",
        LIVENESS,
        embedder_pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name,
    ):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
