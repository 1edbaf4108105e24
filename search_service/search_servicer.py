"""SearchService: each RPC parses, acts, renders."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from google.rpc import code_pb2, status_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as pb
from imagesearch.search.v1 import search_service_pb2_grpc as pb_grpc

from image_kit.naming import index_name
from search_service import document_wire, documents, hits, search_wire, searching, walking
from search_service.backgrounds import Backgrounds
from search_service.bulk_loading import BulkLoads, Load
from search_service.cluster import Cluster
from search_service.deleting import Deleter
from search_service.errors import (
    DocumentNotFoundError,
    IndexNotFoundError,
)
from search_service.gathering import SearchQueue
from search_service.indexes import Indexes
from search_service.mappings import VECTOR_FIELD, Revision
from search_service.metrics import Metrics
from search_service.queries import KnnSearch
from search_service.records import from_record
from search_service.upserter import Upserter
from service_kit import streaming
from service_kit.budget import ByteBudget
from service_kit.errors import ServiceError, Violations

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

T = TypeVar("T")

log = structlog.get_logger()

MAX_UNANSWERED = 2_000
"""Most documents of one stream that have been read and not answered."""

MAX_SEARCHES = 100
"""Most searches in one batch."""

_BYTES_A_VALUE = 20
"""About what a value of a vector takes in JSON."""


class SearchServicer(pb_grpc.SearchServiceServicer):
    """The RPCs of SearchService.

    Args:
        cluster: Where documents are.
        indexes: What the indexes are.
        upserter: Stores documents.
        deleter: Deletes them.
        loads: Switches indexes to loading.
        queue: Makes searches.
        backgrounds: Say what a sample of an index scores.
        metrics: Gets what is done.
        slow_s: Searches that take longer are logged.
        room: Bounds the bytes of documents that have been read and not answered.
        stopping: Set when the server stops: streams then end after what they have read.
        idle_s: Longest that nothing may come on a stream.
    """

    def __init__(
        self,
        cluster: Cluster,
        indexes: Indexes,
        upserter: Upserter,
        deleter: Deleter,
        loads: BulkLoads,
        queue: SearchQueue,
        backgrounds: Backgrounds,
        metrics: Metrics,
        slow_s: float,
        room: ByteBudget,
        stopping: asyncio.Event,
        idle_s: float,
    ) -> None:
        self._cluster = cluster
        self._indexes = indexes
        self._upserter = upserter
        self._deleter = deleter
        self._loads = loads
        self._queue = queue
        self._backgrounds = backgrounds
        self._metrics = metrics
        self._slow_s = slow_s
        self._room = room
        self._stopping = stopping
        self._idle_s = idle_s

    async def UpsertDocuments(
        self, request_iterator: AsyncIterator[pb.UpsertDocumentsRequest], context: "Context"
    ) -> AsyncIterator[pb.UpsertDocumentsResponse]:
        async with self._loads.stream() as load:
            answers = streaming.answers(
                aiter(request_iterator),
                partial(self._begin, load),
                most=MAX_UNANSWERED,
                stopping=self._stopping,
                idle_s=self._idle_s,
            )
            async with aclosing(answers):
                async for answer in answers:
                    yield answer

    async def _begin(
        self, load: Load, request: pb.UpsertDocumentsRequest
    ) -> asyncio.Task[pb.UpsertDocumentsResponse]:
        taken = await self._room.take(_size(request) + sum(map(_size, request.more)))
        task = asyncio.create_task(self._upserter.upsert_all(request, load))
        task.add_done_callback(lambda _: self._room.give_back(taken))
        return task

    async def GetDocuments(
        self, request: pb.GetDocumentsRequest, context: "Context"
    ) -> pb.GetDocumentsResponse:
        ids = document_wire.image_ids(request.image_ids)
        live = (await self._indexes.get(index_name(request.index))).live
        with self._metrics.operation("GetDocuments", live.name):
            found = await documents.get(self._cluster, live.name, ids, request.include_vectors)
        if any(known and known["_index"] != live.physical for known in found):  # just promoted
            live = (await self._indexes.get_now(live.name)).live
        response = pb.GetDocumentsResponse()
        for image_id, known in zip(ids, found, strict=True):
            if known is None:
                error = DocumentNotFoundError(live.name, image_id).to_status()
                response.results.add(error=error)
                continue
            result = response.results.add(document=from_record(image_id, known["_source"]))
            if request.include_vectors:
                values = known["_source"][VECTOR_FIELD]
                result.vector.CopyFrom(types.Vector(values=values, space=live.space))
        return response

    async def ListDocuments(
        self, request: pb.ListDocumentsRequest, context: "Context"
    ) -> pb.ListDocumentsResponse:
        wanted = document_wire.listing(request)

        async def read(live: Revision) -> pb.ListDocumentsResponse:
            found = await walking.page(
                self._cluster,
                live,
                wanted.after,
                wanted.size + 1,
                query=wanted.query,
                fields=tuple(request.fields),
                vectors=request.include_vectors,
            )
            response = pb.ListDocumentsResponse()
            for hit in found[: wanted.size]:
                listed = response.documents.add(document=from_record(hit["_id"], hit["_source"]))
                if request.include_vectors:
                    values = hit["_source"][VECTOR_FIELD]
                    listed.vector.CopyFrom(types.Vector(values=values, space=live.space))
            if len(found) > wanted.size:
                response.next_page_token = found[wanted.size - 1]["_id"]
            return response

        return await self._reading("ListDocuments", request.index, read)

    async def CountDocuments(
        self, request: pb.CountDocumentsRequest, context: "Context"
    ) -> pb.CountDocumentsResponse:
        wrong = Violations()
        query = search_wire.matching(request, wrong)
        wrong.raise_if_any()

        async def read(live: Revision) -> int:
            return await walking.count(self._cluster, live, query)

        count = await self._reading("CountDocuments", request.index, read)
        return pb.CountDocumentsResponse(count=count)

    async def DeleteDocuments(
        self, request: pb.DeleteDocumentsRequest, context: "Context"
    ) -> pb.DeleteDocumentsResponse:
        ids = document_wire.image_ids(request.image_ids)
        live = (await self._indexes.get(index_name(request.index))).live
        refresh = document_wire.REFRESH.get(request.refresh, "false")
        with self._metrics.operation("DeleteDocuments", live.name):
            deleted = await self._deleter.delete(live.name, ids, refresh)
        return pb.DeleteDocumentsResponse(
            deleted_image_ids=[image_id for image_id, found in deleted.items() if found],
            missing_image_ids=[image_id for image_id, found in deleted.items() if not found],
        )

    async def DeleteMatchingDocuments(
        self, request: pb.DeleteMatchingDocumentsRequest, context: "Context"
    ) -> pb.DeleteMatchingDocumentsResponse:
        query = document_wire.to_delete(request)
        name = index_name(request.index)
        count, complete = await self._deleter.delete_matching(name, query)
        return pb.DeleteMatchingDocumentsResponse(deleted_count=count, complete=complete)

    async def Search(self, request: pb.SearchRequest, context: "Context") -> pb.SearchResponse:
        async def read(live: Revision) -> pb.SearchResponse:
            query = search_wire.search(request, live)
            similarity = live.options.similarity
            if query.page_size:
                answer, token = await searching.search_page(self._cluster, live, query, request)
            else:
                answer, token = await self._queue.search(live, query), ""
            self._note(live.name, query, answer["took"])
            response = hits.search_response(answer, query, similarity)
            response.next_page_token = token
            if request.with_background:
                vectors = search_wire.vectors(request, live)
                response.background.CopyFrom(await self._backgrounds.of(live, query, vectors))
            return response

        return await self._reading("Search", request.index, read)

    async def BatchSearch(
        self, request: pb.BatchSearchRequest, context: "Context"
    ) -> pb.BatchSearchResponse:
        wrong = Violations()
        if not 1 <= (count := len(request.searches)) <= MAX_SEARCHES:
            wrong.add("searches", f"has {count} items; 1 to {MAX_SEARCHES} are allowed")
        for i, each in enumerate(request.searches[:MAX_SEARCHES]):
            for field in ("page_size", "with_background"):
                if getattr(each, field):
                    wrong.add(f"searches[{i}].{field}", "is not for searches in a batch")
        wrong.raise_if_any()
        results = [pb.BatchSearchResult() for _ in request.searches]
        asked: list[tuple[pb.BatchSearchResult, Revision, KnnSearch]] = []
        for each, result in zip(request.searches, results, strict=True):
            try:
                live = (await self._indexes.get(index_name(each.index))).live
                asked.append((result, live, search_wire.search(each, live)))
            except ServiceError as error:
                result.error.CopyFrom(error.to_status())
        if asked:
            pairs = [(live, query) for _, live, query in asked]
            answers = await searching.search_all(self._cluster, pairs)
            for (result, live, query), answer in zip(asked, answers, strict=True):
                if not isinstance(answer, Exception):
                    self._note(live.name, query, answer["took"])
                _render(result, live, query, answer)
        return pb.BatchSearchResponse(results=results)

    async def _reading(
        self, operation: str, index: str, read: Callable[[Revision], Awaitable[T]]
    ) -> T:
        """Reads from the live revision; from the next one if that has just been deleted."""
        live = (await self._indexes.get(index_name(index))).live
        with self._metrics.operation(operation, live.name):
            try:
                return await read(live)
            except IndexNotFoundError:
                return await read((await self._indexes.get_now(live.name)).live)

    def _note(self, index: str, query: KnnSearch, took_ms: float) -> None:
        self._metrics.took(index, took_ms)
        if took_ms >= 1000 * self._slow_s:
            log.warning("slow_search", index=index, took_ms=took_ms, **query.described())


def _size(request: pb.UpsertDocumentsRequest) -> int:
    return request.document.ByteSize() + _BYTES_A_VALUE * len(request.vector.values)


def _render(
    result: pb.BatchSearchResult,
    live: Revision,
    query: KnnSearch,
    answer: searching.Answer | Exception,
) -> None:
    if not isinstance(answer, Exception):
        response = hits.search_response(answer, query, live.options.similarity)
        result.response.CopyFrom(response)
    elif isinstance(answer, ServiceError):
        result.error.CopyFrom(answer.to_status())
    else:
        log.error("search_failed", index=live.name, error=str(answer))
        what = "internal error; see the server's log"
        result.error.CopyFrom(status_pb2.Status(code=code_pb2.INTERNAL, message=what))
