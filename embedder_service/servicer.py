"""EmbedderService: each RPC parses, submits, renders."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from google.protobuf import timestamp_pb2
from imagesearch.embedder.v1 import embedder_service_pb2 as pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as pb_grpc

from embedder_service import wire
from embedder_service.embedding import Embedder, RefusedInput
from embedder_service.errors import ModelNotFoundError
from embedder_service.model import ClipModel
from service_kit import streaming

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class EmbedderServicer(pb_grpc.EmbedderServiceServicer):
    """The RPCs of EmbedderService.

    Args:
        models: The loaded models, each with what does its work; the default first.
        bounds: What requests must keep.
        stopping: Set when the server stops: streams then end after what they have read.
        idle_s: Longest that nothing may come on a stream.
    """

    def __init__(
        self,
        models: Sequence[tuple[ClipModel, Embedder]],
        bounds: wire.Bounds,
        stopping: asyncio.Event,
        idle_s: float,
    ) -> None:
        self._models = models
        self._infos = [info for model, _ in models for info in model.infos]
        self._embedders = {"": models[0][1]} | {
            info.name: embedder for model, embedder in models for info in model.infos
        }
        self._most_streamed = 4 * max(info.max_batch for info in self._infos)
        self._bounds = bounds
        self._stopping = stopping
        self._idle_s = idle_s
        self._started_at = timestamp_pb2.Timestamp()
        self._started_at.GetCurrentTime()

    async def Embed(self, request: pb.EmbedRequest, context: "Context") -> pb.EmbedResponse:
        embedder = self._embedder(request.model)
        inputs = wire.embed_inputs(request, self._bounds)
        request.Clear()  # each image is held by its input alone, and goes when it is decoded
        outcomes = await embedder.embed(inputs)
        return pb.EmbedResponse(results=[wire.embed_result(o, embedder.space) for o in outcomes])

    async def StreamEmbed(
        self, request_iterator: AsyncIterator[pb.StreamEmbedRequest], context: "Context"
    ) -> AsyncIterator[pb.StreamEmbedResponse]:
        answers = streaming.answers(
            aiter(request_iterator),
            self._begin,
            most=self._most_streamed,
            stopping=self._stopping,
            idle_s=self._idle_s,
        )
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    async def _begin(self, request: pb.StreamEmbedRequest) -> asyncio.Task[pb.StreamEmbedResponse]:
        try:
            embedder = self._embedder(request.model)
            item = wire.embed_input(request.input, "input", self._bounds)
        except ModelNotFoundError as error:  # this request's alone
            embedder, item = self._models[0][1], RefusedInput(error)
        place = await embedder.room_for(item)

        async def answer() -> pb.StreamEmbedResponse:
            outcome = await embedder.embed_at(item, place)
            result = wire.embed_result(outcome, embedder.space)
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

    async def GetStatistics(
        self, request: pb.GetStatisticsRequest, context: "Context"
    ) -> pb.GetStatisticsResponse:
        self._embedder(request.name)
        return pb.GetStatisticsResponse(
            started_at=self._started_at,
            models=[
                wire.model_statistics(lane.model, kind, intake.queue.held, intake.statistics)
                for model, embedder in self._models
                for lane, kind, intake in (
                    (model.images, "image", embedder.images),
                    (model.texts, "text", embedder.texts),
                )
                if request.name in ("", lane.model)
            ],
        )

    def _embedder(self, model: str) -> Embedder:
        try:
            return self._embedders[model]
        except KeyError:
            raise ModelNotFoundError(model) from None
