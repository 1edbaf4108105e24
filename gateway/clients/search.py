"""search_service in the gateway's terms. Only here are its stubs used."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2_grpc
from imagesearch.common.v1 import cluster_pb2
from imagesearch.common.v1 import server_service_pb2 as server_pb
from imagesearch.common.v1 import server_service_pb2_grpc as server_grpc
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import index_service_pb2_grpc as index_grpc
from imagesearch.search.v1 import search_service_pb2 as search_pb
from imagesearch.search.v1 import search_service_pb2_grpc as search_grpc

from gateway.clients.calls import KeyCheck, answer_of, check_health
from gateway.errors import Moves, relocated
from gateway.multiplexing import Multiplexer
from service_kit.call_metrics import CallMetrics
from service_kit.client import channel
from service_kit.errors import RemoteError, from_status
from service_kit.tls.client import ClientTls

SEARCH = "search_service"

_INDEX_SERVICE = index_pb.DESCRIPTOR.services_by_name["IndexService"].full_name
_SEARCH_SERVICE = search_pb.DESCRIPTOR.services_by_name["SearchService"].full_name


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
        self._server = server_grpc.ServerServiceStub(opened)
        self._key = KeyCheck(self._server, SEARCH)
        self._call_timeout_s = call_timeout_s
        self._image_timeout_s = image_timeout_s

    async def knn(self, request: search_pb.SearchRequest) -> Sequence[search_pb.SearchHit]:
        """Finds the nearest vectors."""
        return (await self.search(request)).hits

    async def search(
        self, request: search_pb.SearchRequest, moves: Moves = ()
    ) -> search_pb.SearchResponse:
        """Finds the nearest vectors. `moves` says which of our fields those of `request` are."""
        return await answer_of(self._documents.Search, request, SEARCH, self._call_timeout_s, moves)

    async def documents(
        self, index: str, image_ids: Sequence[str], with_vectors: bool = False
    ) -> list[search_pb.GetDocumentsResult | None]:
        """Reads up to 1,000 documents, in order; None for each that is not there any more."""
        request = search_pb.GetDocumentsRequest(
            index=index, image_ids=image_ids, include_vectors=with_vectors
        )
        response = await answer_of(
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
        response = await answer_of(
            self._documents.BatchSearch, request, SEARCH, self._call_timeout_s
        )
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
        response = await answer_of(
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
        return await answer_of(self._documents.ListDocuments, request, SEARCH, self._call_timeout_s)

    async def count(self, request: search_pb.CountDocumentsRequest) -> int:
        """Counts documents."""
        response = await answer_of(
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
        return await answer_of(
            self._documents.DeleteDocuments, request, SEARCH, self._call_timeout_s
        )

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
            response = await answer_of(
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
        response = await answer_of(self._indexes.ListIndexes, request, SEARCH, self._call_timeout_s)
        return response.indexes, response.next_page_token

    async def create_index(self, name: str, space: str, dimensions: int) -> None:
        """Creates an index; does nothing if somebody else just has."""
        options = index_pb.IndexOptions(dimensions=dimensions)
        request = index_pb.CreateIndexRequest(name=name, space=space, options=options)
        try:
            await answer_of(self._indexes.CreateIndex, request, SEARCH, self._call_timeout_s)
        except RemoteError as error:
            if error.code is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    async def refresh(self, name: str) -> None:
        """Makes every acknowledged write to an index visible to searches."""
        request = index_pb.RefreshIndexRequest(name=name)
        await answer_of(self._indexes.RefreshIndex, request, SEARCH, self._call_timeout_s)

    async def server(self) -> server_pb.GetServerResponse:
        """What it tells of itself, and what it lets us do.

        Raises:
            ServiceError: It does not answer.
        """
        request = server_pb.GetServerRequest()
        return await answer_of(self._server.GetServer, request, SEARCH, self._call_timeout_s)

    async def cluster(self) -> cluster_pb2.Cluster:
        """How Elasticsearch is.

        Raises:
            ServiceError: It does not answer.
        """
        request = index_pb.GetClusterRequest()
        response = await answer_of(self._indexes.GetCluster, request, SEARCH, self._call_timeout_s)
        return response.cluster

    async def check(self) -> None:
        """Returns if it can do its work.

        Raises:
            UnavailableError: It cannot, does not answer, or does not take our key.
        """
        await check_health(self._health, _SEARCH_SERVICE, SEARCH)
        await self._key.check()


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


def open_search(
    target: str,
    max_message_bytes: int,
    api_key: str = "",
    tls: ClientTls | None = None,
    metrics: CallMetrics | None = None,
) -> grpc.aio.Channel:
    """Opens a channel to search_service. `metrics` counts its calls.

    Raises:
        CertificateError: The files of `tls` cannot be used.
    """
    idempotent = [
        f"{_SEARCH_SERVICE}/{name}"
        for name in ("Search", "BatchSearch", "GetDocuments", "ListDocuments", "CountDocuments")
    ]
    idempotent += [f"{_INDEX_SERVICE}/GetIndex", f"{_INDEX_SERVICE}/RefreshIndex"]
    idempotent += [f"{_INDEX_SERVICE}/ListIndexes"]
    return channel(
        target,
        idempotent=idempotent,
        max_message_bytes=max_message_bytes,
        api_key=api_key,
        metrics=metrics,
        tls=tls,
    )
