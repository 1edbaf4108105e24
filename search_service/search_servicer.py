"""SearchService: each RPC parses, acts, renders."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import structlog
from google.rpc import code_pb2, status_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as pb
from imagesearch.search.v1 import search_service_pb2_grpc as pb_grpc

from image_kit.naming import index_name
from search_service import documents, hits, wire
from search_service.cluster import Cluster
from search_service.errors import DocumentNotFoundError, IndexNotFoundError
from search_service.indexes import Indexes
from search_service.mappings import VECTOR_FIELD
from search_service.records import from_record, now, to_record
from search_service.upserting import Upsert
from search_service.writing import Writer
from service_kit import streaming
from service_kit.budget import ByteBudget
from service_kit.errors import ServiceError

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger()

MAX_UNANSWERED = 2_000
"""Most documents of one stream that have been read and not answered."""

_BYTES_A_VALUE = 20
"""About what a value of a vector takes in JSON."""


class SearchServicer(pb_grpc.SearchServiceServicer):
    """The RPCs of SearchService.

    Args:
        cluster: Where documents are.
        indexes: What the indexes are.
        writer: Writes documents.
        room: Bounds the bytes of documents that have been read and not answered.
        stopping: Set when the server stops: streams then end after what they have read.
    """

    def __init__(
        self,
        cluster: Cluster,
        indexes: Indexes,
        writer: Writer,
        room: ByteBudget,
        stopping: asyncio.Event,
    ) -> None:
        self._cluster = cluster
        self._indexes = indexes
        self._writer = writer
        self._room = room
        self._stopping = stopping

    async def UpsertDocuments(
        self, request_iterator: AsyncIterator[pb.UpsertDocumentsRequest], context: "Context"
    ) -> AsyncIterator[pb.UpsertDocumentsResponse]:
        answers = streaming.answers(
            aiter(request_iterator), self._begin, most=MAX_UNANSWERED, stopping=self._stopping
        )
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    async def _begin(
        self, request: pb.UpsertDocumentsRequest
    ) -> asyncio.Task[pb.UpsertDocumentsResponse]:
        size = request.document.ByteSize() + _BYTES_A_VALUE * len(request.vector.values)
        taken = await self._room.take(size)
        task = asyncio.create_task(self._upsert(request, size))
        task.add_done_callback(lambda _: self._room.give_back(taken))
        return task

    async def _upsert(
        self, request: pb.UpsertDocumentsRequest, size: int
    ) -> pb.UpsertDocumentsResponse:
        response = pb.UpsertDocumentsResponse(
            request_id=request.request_id, image_id=request.document.image_id
        )
        try:
            index = await self._indexes.definition(index_name(request.index))
            wire.check_document(request.document)
            values = wire.vector(request.vector, index)
            upsert = Upsert(to_record(request.document, now()), values, size)
            refresh = wire.REFRESH.get(request.refresh, "false")
            outcome = await self._writer.submit(index.name, upsert, refresh)
            response.outcome = types.UpsertOutcome.Value(f"UPSERT_OUTCOME_{outcome.name}")
        except IndexNotFoundError as error:
            self._indexes.forget(index_name(request.index))
            response.error.CopyFrom(error.to_status())
        except ServiceError as error:
            response.error.CopyFrom(error.to_status())
        except Exception:  # this document's own: its neighbours in the stream go on
            log.exception("upsert_failed", image_id=request.document.image_id)
            what = "internal error; see the server's log"
            response.error.CopyFrom(status_pb2.Status(code=code_pb2.INTERNAL, message=what))
        return response

    async def GetDocuments(
        self, request: pb.GetDocumentsRequest, context: "Context"
    ) -> pb.GetDocumentsResponse:
        ids = wire.image_ids(request.image_ids)
        index = await self._indexes.definition(index_name(request.index))
        found = await documents.get(self._cluster, index.name, ids, request.include_vectors)
        response = pb.GetDocumentsResponse()
        for image_id, known in zip(ids, found, strict=True):
            if known is None:
                error = DocumentNotFoundError(index.name, image_id).to_status()
                response.results.add(error=error)
                continue
            result = response.results.add(document=from_record(image_id, known["_source"]))
            if request.include_vectors:
                values = known["_source"][VECTOR_FIELD]
                result.vector.CopyFrom(types.Vector(values=values, space=index.space))
        return response

    async def DeleteDocuments(
        self, request: pb.DeleteDocumentsRequest, context: "Context"
    ) -> pb.DeleteDocumentsResponse:
        ids = wire.image_ids(request.image_ids)
        index = await self._indexes.definition(index_name(request.index))
        refresh = wire.REFRESH.get(request.refresh, "false")
        was_there = await documents.delete(self._cluster, index.name, ids, refresh)
        return pb.DeleteDocumentsResponse(
            deleted_image_ids=[image_id for image_id, found in was_there.items() if found],
            missing_image_ids=[image_id for image_id, found in was_there.items() if not found],
        )

    async def Search(self, request: pb.SearchRequest, context: "Context") -> pb.SearchResponse:
        index = await self._indexes.definition(index_name(request.index))
        query = wire.search(request, index)
        similarity = index.options.similarity
        try:
            answer = await documents.search(self._cluster, index.name, query, similarity)
        except IndexNotFoundError:
            self._indexes.forget(index.name)
            raise
        return hits.search_response(answer, query, similarity)
