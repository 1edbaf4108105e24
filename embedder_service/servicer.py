"""EmbedderService: each RPC parses, submits, renders."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from imagesearch.embedder.v1 import embedder_service_pb2 as pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as pb_grpc

from embedder_service import wire
from embedder_service.embedding import Embedder
from embedder_service.errors import ModelNotFoundError
from embedder_service.model import ModelInfo
from service_kit import streaming

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class EmbedderServicer(pb_grpc.EmbedderServiceServicer):
    """The RPCs of EmbedderService.

    Args:
        embedder: Does the work.
        infos: The loaded models, the image model first.
        bounds: What requests must keep.
        stopping: Set when the server stops: streams then end after what they have read.
    """

    def __init__(
        self,
        embedder: Embedder,
        infos: Sequence[ModelInfo],
        bounds: wire.Bounds,
        stopping: asyncio.Event,
    ) -> None:
        self._embedder = embedder
        self._infos = infos
        self._bounds = bounds
        self._stopping = stopping

    async def Embed(self, request: pb.EmbedRequest, context: "Context") -> pb.EmbedResponse:
        inputs = wire.embed_inputs(request, self._bounds)
        request.Clear()  # each image is held by its input alone, and goes when it is decoded
        outcomes = await self._embedder.embed(inputs)
        space = self._infos[0].space
        return pb.EmbedResponse(results=[wire.embed_result(o, space) for o in outcomes])

    async def StreamEmbed(
        self, request_iterator: AsyncIterator[pb.StreamEmbedRequest], context: "Context"
    ) -> AsyncIterator[pb.StreamEmbedResponse]:
        answers = streaming.answers(
            aiter(request_iterator),
            self._begin,
            most=4 * self._bounds.max_batch,
            stopping=self._stopping,
        )
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    async def _begin(self, request: pb.StreamEmbedRequest) -> asyncio.Task[pb.StreamEmbedResponse]:
        item = wire.embed_input(request.input, "input", self._bounds)
        place = await self._embedder.room_for(item)

        async def answer() -> pb.StreamEmbedResponse:
            outcome = await self._embedder.embed_at(item, place)
            result = wire.embed_result(outcome, self._infos[0].space)
            return pb.StreamEmbedResponse(request_id=request.request_id, result=result)

        task = asyncio.create_task(answer())
        if place is not None:  # also if it is cancelled before it has run a step
            task.add_done_callback(lambda _: place.leave())
        return task

    async def ListModels(
        self, request: pb.ListModelsRequest, context: "Context"
    ) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=[wire.model(i, self._bounds) for i in self._infos])

    async def GetModel(
        self, request: pb.GetModelRequest, context: "Context"
    ) -> pb.GetModelResponse:
        for info in self._infos:
            if request.name in ("", info.name):
                return pb.GetModelResponse(model=wire.model(info, self._bounds))
        raise ModelNotFoundError(request.name)
