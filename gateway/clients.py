"""The two other services in the gateway's terms. Only here are their stubs used."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import index_service_pb2_grpc as index_grpc
from imagesearch.search.v1 import search_service_pb2 as search_pb
from imagesearch.search.v1 import search_service_pb2_grpc as search_grpc

from gateway.errors import Moves, relocated
from gateway.multiplexing import Multiplexer
from service_kit.client import channel
from service_kit.deadlines import remaining
from service_kit.errors import RemoteError, UnavailableError, from_rpc_error, from_status

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

EMBEDDER = "embedder_service"
SEARCH = "search_service"

_EMBEDDER_SERVICE = embedder_pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name
_INDEX_SERVICE = index_pb.DESCRIPTOR.services_by_name["IndexService"].full_name
_SEARCH_SERVICE = search_pb.DESCRIPTOR.services_by_name["SearchService"].full_name

_HEALTH_S = 2.0


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
        response = await _answer(self._stub.Embed, request, EMBEDDER, self._call_timeout_s)
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
            response = await _answer(self._stub.Embed, request, EMBEDDER, self._call_timeout_s)
            yield [_embedded(result, ()).vector for result in response.results]

    async def _embed(
        self, item: embedder_pb.EmbedInput, theirs: str, ours: str
    ) -> embedder_pb.EmbedResult:
        request = embedder_pb.EmbedRequest(inputs=[item])
        response = await _answer(self._stub.Embed, request, EMBEDDER, self._call_timeout_s)
        return _embedded(response.results[0], [(theirs, ours)])

    async def embed_all(self, texts: Sequence[str], images: Sequence[bytes]) -> list[types.Vector]:
        """Embeds texts and images of our own, 256 at most: the texts' vectors, then the images'.

        Raises:
            ServiceError: One cannot be embedded.
        """
        inputs = [embedder_pb.EmbedInput(text=text) for text in texts]
        inputs += [embedder_pb.EmbedInput(image=image) for image in images]
        request = embedder_pb.EmbedRequest(inputs=inputs)
        response = await _answer(self._stub.Embed, request, EMBEDDER, self._call_timeout_s)
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
        response = await _answer(self._stub.ListModels, request, EMBEDDER, self._call_timeout_s)
        return response.models

    async def check(self) -> None:
        """Returns if it can do its work.

        Raises:
            UnavailableError: It cannot, or does not answer.
        """
        await _check(self._health, _EMBEDDER_SERVICE, EMBEDDER)


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


class Search:
    """search_service.

    Args:
        opened: A channel to it.
        call_timeout_s: Longest for one call.
        image_timeout_s: Longest for one document of a stream.
    """

    def __init__(
        self, opened: grpc.aio.Channel, call_timeout_s: float, image_timeout_s: float
    ) -> None:
        self._documents = search_grpc.SearchServiceStub(opened)
        self._indexes = index_grpc.IndexServiceStub(opened)
        self._health = health_pb2_grpc.HealthStub(opened)
        self._call_timeout_s = call_timeout_s
        self._image_timeout_s = image_timeout_s

    async def knn(self, request: search_pb.SearchRequest) -> Sequence[search_pb.SearchHit]:
        """Finds the nearest vectors."""
        return (await self.search(request)).hits

    async def search(
        self, request: search_pb.SearchRequest, moves: Moves = ()
    ) -> search_pb.SearchResponse:
        """Finds the nearest vectors. `moves` says which of our fields those of `request` are."""
        return await _answer(self._documents.Search, request, SEARCH, self._call_timeout_s, moves)

    async def documents(
        self, index: str, image_ids: Sequence[str], with_vectors: bool = False
    ) -> list[search_pb.GetDocumentsResult | None]:
        """Reads up to 1,000 documents, in order; None for each that is not there any more."""
        request = search_pb.GetDocumentsRequest(
            index=index, image_ids=image_ids, include_vectors=with_vectors
        )
        response = await _answer(
            self._documents.GetDocuments, request, SEARCH, self._call_timeout_s
        )
        return [None if each.HasField("error") else each for each in response.results]

    async def knn_all(
        self, requests: Sequence[search_pb.SearchRequest], moves: Moves = ()
    ) -> list[Sequence[search_pb.SearchHit]]:
        """Makes several searches at once, at most 100.

        Raises:
            RemoteError: One is refused.
        """
        request = search_pb.BatchSearchRequest(searches=requests)
        response = await _answer(self._documents.BatchSearch, request, SEARCH, self._call_timeout_s)
        for result in response.results:
            if result.HasField("error"):
                raise from_status(relocated(result.error, moves))
        return [result.response.hits for result in response.results]

    async def document(
        self, index: str, image_id: str, with_vector: bool = False, field: str = "image_id"
    ) -> search_pb.GetDocumentsResult:
        """Reads a document. `field` is where in our caller's request the id is.

        Raises:
            RemoteError: There is none.
        """
        request = search_pb.GetDocumentsRequest(
            index=index, image_ids=[image_id], include_vectors=with_vector
        )
        moves = [("image_ids[0]", field)]
        response = await _answer(
            self._documents.GetDocuments, request, SEARCH, self._call_timeout_s, moves
        )
        result = response.results[0]
        if result.HasField("error"):
            raise from_status(result.error)
        return result

    async def listed(
        self, request: search_pb.ListDocumentsRequest
    ) -> search_pb.ListDocumentsResponse:
        """Reads a page of an index's documents, by id."""
        return await _answer(self._documents.ListDocuments, request, SEARCH, self._call_timeout_s)

    async def count(self, request: search_pb.CountDocumentsRequest) -> int:
        """Counts documents."""
        response = await _answer(
            self._documents.CountDocuments, request, SEARCH, self._call_timeout_s
        )
        return response.count

    async def delete(
        self, index: str, image_ids: Iterable[str], refresh: "types.RefreshPolicy.ValueType"
    ) -> search_pb.DeleteDocumentsResponse:
        """Deletes documents."""
        request = search_pb.DeleteDocumentsRequest(
            index=index, image_ids=image_ids, refresh=refresh
        )
        return await _answer(self._documents.DeleteDocuments, request, SEARCH, self._call_timeout_s)

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator["BulkSearch"]:
        """Opens a stream for many documents."""
        stream = Multiplexer(self._documents.UpsertDocuments, SEARCH, self._image_timeout_s)
        try:
            yield BulkSearch(stream)
        finally:
            await stream.close()

    async def index(self, name: str) -> index_pb.Index | None:
        """Describes an index; None if there is none."""
        request = index_pb.GetIndexRequest(name=name)
        moves = [("name", "index")]
        try:
            response = await _answer(
                self._indexes.GetIndex, request, SEARCH, self._call_timeout_s, moves
            )
        except RemoteError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return response.index

    async def indexes(
        self, page_size: int, page_token: str
    ) -> tuple[Sequence[index_pb.Index], str]:
        """Lists the indexes, a page of them; gives the token of the next page too."""
        request = index_pb.ListIndexesRequest(page_size=page_size, page_token=page_token)
        response = await _answer(self._indexes.ListIndexes, request, SEARCH, self._call_timeout_s)
        return response.indexes, response.next_page_token

    async def create_index(self, name: str, space: str, dimensions: int) -> None:
        """Creates an index; does nothing if somebody else just has."""
        options = index_pb.IndexOptions(dimensions=dimensions)
        request = index_pb.CreateIndexRequest(name=name, space=space, options=options)
        try:
            await _answer(self._indexes.CreateIndex, request, SEARCH, self._call_timeout_s)
        except RemoteError as error:
            if error.code is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    async def refresh(self, name: str) -> None:
        """Makes every acknowledged write to an index visible to searches."""
        request = index_pb.RefreshIndexRequest(name=name)
        await _answer(self._indexes.RefreshIndex, request, SEARCH, self._call_timeout_s)

    async def check(self) -> None:
        """Returns if it can do its work.

        Raises:
            UnavailableError: It cannot, or does not answer.
        """
        await _check(self._health, _SEARCH_SERVICE, SEARCH)


class BulkSearch:
    """A stream to search_service."""

    def __init__(
        self,
        stream: Multiplexer[search_pb.UpsertDocumentsRequest, search_pb.UpsertDocumentsResponse],
    ) -> None:
        self._stream = stream

    async def upsert(
        self, request: search_pb.UpsertDocumentsRequest, moves: Moves
    ) -> "types.UpsertOutcome.ValueType":
        """Stores one document of many; answers what was done.

        Raises:
            ServiceError: It is not stored, or nobody knows.
        """
        return _stored(await self._stream.ask(request), moves)

    async def upsert_many(
        self, requests: Sequence[search_pb.UpsertDocumentsRequest], moves: Moves
    ) -> "list[types.UpsertOutcome.ValueType | Exception]":
        """Stores up to 1,000 documents in one message; says of each what was done, or why not.

        Raises:
            ServiceError: Nobody knows what became of them.
        """
        answer = await self._stream.ask(search_pb.UpsertDocumentsRequest(more=requests))
        outcomes: list[types.UpsertOutcome.ValueType | Exception] = []
        for each in answer.more:
            try:
                outcomes.append(_stored(each, moves))
            except Exception as error:
                outcomes.append(error)
        return outcomes


def _stored(
    answer: search_pb.UpsertDocumentsResponse, moves: Moves
) -> "types.UpsertOutcome.ValueType":
    if answer.HasField("error"):
        raise from_status(relocated(answer.error, moves))
    return answer.outcome


def open_embedder(target: str, max_message_bytes: int) -> grpc.aio.Channel:
    """Opens a channel to embedder_service."""
    idempotent = [f"{_EMBEDDER_SERVICE}/{name}" for name in ("Embed", "ListModels", "GetModel")]
    return channel(target, idempotent=idempotent, max_message_bytes=max_message_bytes)


def open_search(target: str, max_message_bytes: int) -> grpc.aio.Channel:
    """Opens a channel to search_service."""
    idempotent = [
        f"{_SEARCH_SERVICE}/{name}"
        for name in ("Search", "BatchSearch", "GetDocuments", "ListDocuments", "CountDocuments")
    ]
    idempotent += [f"{_INDEX_SERVICE}/GetIndex", f"{_INDEX_SERVICE}/RefreshIndex"]
    idempotent += [f"{_INDEX_SERVICE}/ListIndexes"]
    return channel(target, idempotent=idempotent, max_message_bytes=max_message_bytes)


async def _answer(
    method: "grpc.aio.UnaryUnaryMultiCallable[Any, T]",
    request: Any,
    service: str,
    timeout_s: float,
    moves: Moves = (),
) -> T:
    """Calls a method within our caller's deadline; raises its error as ours."""
    try:
        call: Awaitable[T] = method(request, timeout=remaining(timeout_s))
        return await call
    except grpc.aio.AioRpcError as broken:
        error = from_rpc_error(broken, service)
        if isinstance(error, RemoteError):
            error = RemoteError(relocated(error.to_status(), moves))
        raise error from broken


async def _check(stub: Any, name: str, service: str) -> None:
    request = health_pb2.HealthCheckRequest(service=name)
    try:
        answer = await stub.Check(request, timeout=_HEALTH_S)
    except grpc.aio.AioRpcError as error:
        raise UnavailableError(f"{service} does not answer") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise UnavailableError(f"{service} is not serving")
