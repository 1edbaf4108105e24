"""embedder_service in the gateway's terms. Only here is its stub used."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2_grpc
from imagesearch.common.v1 import server_service_pb2 as server_pb
from imagesearch.common.v1 import server_service_pb2_grpc as server_grpc
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc

from gateway.clients.calls import KeyCheck, answer_of, check_health
from gateway.errors import Moves, relocated
from gateway.multiplexing import Multiplexer
from service_kit.call_metrics import CallMetrics
from service_kit.client import channel
from service_kit.errors import from_status
from service_kit.tls.client import ClientTls

EMBEDDER = "embedder_service"

_EMBEDDER_SERVICE = embedder_pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name


class Embedder:
    """embedder_service.

    Args:
        opened: A channel to it.
        call_timeout_s: Longest for one call.
        image_timeout_s: Longest for one image of a stream.
    """

    def __init__(
        self, opened: grpc.aio.Channel, call_timeout_s: float, image_timeout_s: float
    ) -> None:
        self._stub = embedder_grpc.EmbedderServiceStub(opened)
        self._health = health_pb2_grpc.HealthStub(opened)
        self._server = server_grpc.ServerServiceStub(opened)
        self._key = KeyCheck(self._server, EMBEDDER)
        self._call_timeout_s = call_timeout_s
        self._image_timeout_s = image_timeout_s

    async def embed_image(self, data: bytes, field: str) -> types.Vector:
        """Embeds one image. `field` is where in our caller's request it is.

        Raises:
            ServiceError: It cannot be embedded.
        """
        result = await self._embed(embedder_pb.EmbedInput(image=data), "inputs[0].image", field)
        return result.vector

    async def embed_images(self, images: Sequence[bytes], field: str) -> Sequence[types.Vector]:
        """Embeds images that were all made of the one that `field` names.

        Raises:
            ServiceError: One cannot be embedded.
        """
        request = embedder_pb.EmbedRequest(
            inputs=[embedder_pb.EmbedInput(image=image) for image in images]
        )
        response = await answer_of(self._stub.Embed, request, EMBEDDER, self._call_timeout_s)
        return [
            _embedded(result, [(f"inputs[{i}].image", field)]).vector
            for i, result in enumerate(response.results)
        ]

    async def embed_text(self, text: str, field: str) -> tuple[types.Vector, bool]:
        """Embeds one text; says too whether only its beginning was used.

        Raises:
            ServiceError: It cannot be embedded.
        """
        result = await self._embed(embedder_pb.EmbedInput(text=text), "inputs[0].text", field)
        return result.vector, result.truncated

    async def embed_texts(
        self, texts: Sequence[str], model: embedder_pb.Model
    ) -> AsyncIterator[Sequence[types.Vector]]:
        """Embeds many texts with one model, as many in a call as it takes; gives them in order.

        Raises:
            ServiceError: One cannot be embedded.
        """
        most = model.limits.max_inputs or 1
        for start in range(0, len(texts), most):
            inputs = [embedder_pb.EmbedInput(text=text) for text in texts[start : start + most]]
            request = embedder_pb.EmbedRequest(inputs=inputs, model=model.name)
            response = await answer_of(self._stub.Embed, request, EMBEDDER, self._call_timeout_s)
            yield [_embedded(result, ()).vector for result in response.results]

    async def _embed(
        self, item: embedder_pb.EmbedInput, theirs: str, ours: str
    ) -> embedder_pb.EmbedResult:
        request = embedder_pb.EmbedRequest(inputs=[item])
        response = await answer_of(self._stub.Embed, request, EMBEDDER, self._call_timeout_s)
        return _embedded(response.results[0], [(theirs, ours)])

    async def embed_all(self, texts: Sequence[str], images: Sequence[bytes]) -> list[types.Vector]:
        """Embeds texts and images of our own, 256 at most: the texts' vectors, then the images'.

        Raises:
            ServiceError: One cannot be embedded.
        """
        inputs = [embedder_pb.EmbedInput(text=text) for text in texts]
        inputs += [embedder_pb.EmbedInput(image=image) for image in images]
        request = embedder_pb.EmbedRequest(inputs=inputs)
        response = await answer_of(self._stub.Embed, request, EMBEDDER, self._call_timeout_s)
        return [_embedded(result, ()).vector for result in response.results]

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator["BulkEmbedder"]:
        """Opens a stream for many images."""
        stream = Multiplexer(self._stub.StreamEmbed, EMBEDDER, self._image_timeout_s)
        try:
            yield BulkEmbedder(stream)
        finally:
            await stream.close()

    async def models(self) -> Sequence[embedder_pb.Model]:
        """The loaded models, the image model first."""
        request = embedder_pb.ListModelsRequest()
        response = await answer_of(self._stub.ListModels, request, EMBEDDER, self._call_timeout_s)
        return response.models

    async def server(self) -> server_pb.GetServerResponse:
        """What it tells of itself, and what it lets us do.

        Raises:
            ServiceError: It does not answer.
        """
        request = server_pb.GetServerRequest()
        return await answer_of(self._server.GetServer, request, EMBEDDER, self._call_timeout_s)

    async def check(self) -> None:
        """Returns if it can do its work.

        Raises:
            UnavailableError: It cannot, does not answer, or does not take our key.
        """
        await check_health(self._health, _EMBEDDER_SERVICE, EMBEDDER)
        await self._key.check()


class BulkEmbedder:
    """A stream to embedder_service."""

    def __init__(
        self,
        stream: Multiplexer[embedder_pb.StreamEmbedRequest, embedder_pb.StreamEmbedResponse],
    ) -> None:
        self._stream = stream

    async def embed_image(self, data: bytes, field: str) -> types.Vector:
        """Embeds one image of many.

        Raises:
            ServiceError: It cannot be embedded.
        """
        item = embedder_pb.EmbedInput(image=data)
        answer = await self._stream.ask(embedder_pb.StreamEmbedRequest(input=item))
        return _embedded(answer.result, [("input.image", field)]).vector


def _embedded(result: embedder_pb.EmbedResult, moves: Moves) -> embedder_pb.EmbedResult:
    if result.HasField("error"):
        raise from_status(relocated(result.error, moves))
    return result


def open_embedder(
    target: str,
    max_message_bytes: int,
    api_key: str = "",
    tls: ClientTls | None = None,
    metrics: CallMetrics | None = None,
) -> grpc.aio.Channel:
    """Opens a channel to embedder_service. `metrics` counts its calls.

    Raises:
        CertificateError: The files of `tls` cannot be used.
    """
    idempotent = [f"{_EMBEDDER_SERVICE}/{name}" for name in ("Embed", "ListModels", "GetModel")]
    return channel(
        target,
        idempotent=idempotent,
        max_message_bytes=max_message_bytes,
        api_key=api_key,
        metrics=metrics,
        tls=tls,
    )
