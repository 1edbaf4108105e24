"""The documents of one message of an UpsertDocuments stream, each to its answer."""

import asyncio
from collections.abc import Sequence

import structlog
from google.rpc import code_pb2, status_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as pb

from image_kit.naming import DEFAULT_INDEX, index_name
from search_service import document_wire, search_wire
from search_service.bulk_loading import Load
from search_service.errors import (
    IndexNotFoundError,
    RevisionNotFoundError,
    RevisionStateError,
)
from search_service.indexes import Indexes
from search_service.mappings import Index, Revision
from search_service.metrics import Metrics
from search_service.records import now, to_record
from search_service.upserting import Outcome, Upsert
from search_service.writing import Writer
from service_kit import tracing
from service_kit.errors import InvalidRequestError, ServiceError, reason_of

log = structlog.get_logger()

MAX_MORE = 1_000
"""Most further documents in one message."""

_OUTCOMES = {each: types.UpsertOutcome.Value(f"UPSERT_OUTCOME_{each.name}") for each in Outcome}


class Upserter:
    """Stores documents.

    Args:
        indexes: What the indexes are.
        writer: Writes documents.
        metrics: Counts them.
    """

    def __init__(self, indexes: Indexes, writer: Writer, metrics: Metrics) -> None:
        self._indexes = indexes
        self._writer = writer
        self._metrics = metrics

    async def upsert_all(
        self, request: pb.UpsertDocumentsRequest, load: Load
    ) -> pb.UpsertDocumentsResponse:
        """Stores the documents of a message; answers when each is stored or refused."""
        response = _answer(request)
        alone = request.HasField("document") or not request.more
        requests = [request] if alone else []
        responses = [response] if alone else []
        if (wrong := _wrong_with(request)) is not None:
            response.error.CopyFrom(wrong.to_status())
            return response
        for each in request.more:
            requests.append(each)
            responses.append(response.more.add(request_id=each.request_id))
            responses[-1].image_id = each.document.image_id
        await self._upsert(requests, responses, load)
        return response

    async def _upsert(
        self,
        requests: Sequence[pb.UpsertDocumentsRequest],
        responses: Sequence[pb.UpsertDocumentsResponse],
        load: Load,
    ) -> None:
        at = now()
        waiting: list[asyncio.Future[Outcome]] = []
        answers: list[pb.UpsertDocumentsResponse] = []
        names: list[str] = []
        queued = tracing.waiting("queue")
        for request, response in zip(requests, responses, strict=True):
            try:
                future = await self._submit(request, load, at, queued)
            except Exception as error:
                self._refuse(response, error, request.index)
            else:
                waiting.append(future)
                answers.append(response)
                names.append(request.index)
        if waiting:
            try:
                await asyncio.wait(waiting)
            except asyncio.CancelledError:
                for future in waiting:
                    future.cancel()
                raise
            finally:
                if queued is not None:
                    queued.end()
        for future, response, name in zip(waiting, answers, names, strict=True):
            if (why := future.exception()) is None:
                outcome = future.result()
                response.outcome = _OUTCOMES[outcome]
                self._metrics.document(index_name(name), outcome.value)
            else:
                self._refuse(response, why, name)

    async def _submit(
        self,
        request: pb.UpsertDocumentsRequest,
        load: Load,
        at: str,
        queued: tracing.Waiting | None,
    ) -> asyncio.Future[Outcome]:
        index = await self._indexes.get(index_name(request.index))
        document_wire.check_document(request.document)
        await self._indexes.upgrade(index)
        revision = _written_to(index, request.revision)
        values = search_wire.vector(request.vector, revision)
        size = request.document.ByteSize() + 4 * values.nbytes // 3
        upsert = Upsert(to_record(request.document, at), values, size)
        refresh = document_wire.REFRESH.get(request.refresh, "false")
        if request.bulk_load:
            refresh = "false"  # the index is not refreshed: waiting for it would take for ever
            await load.into(index.live.name)
        return self._writer.submit(
            revision.alias if request.revision else revision.name, upsert, refresh, queued
        )

    def _refuse(
        self, response: pb.UpsertDocumentsResponse, error: BaseException, name: str
    ) -> None:
        if isinstance(error, IndexNotFoundError):
            self._indexes.forget(index_name(name))
        elif self._indexes.knows(name or DEFAULT_INDEX):
            self._metrics.document(name or DEFAULT_INDEX, "refused")
        self._metrics.refused(reason_of(error))
        if isinstance(error, ServiceError):
            response.error.CopyFrom(error.to_status())
        else:  # this document's own: its neighbours in the stream go on
            log.error("upsert_failed", image_id=response.image_id, exc_info=error)
            what = "internal error; see the server's log"
            response.error.CopyFrom(status_pb2.Status(code=code_pb2.INTERNAL, message=what))


def _wrong_with(request: pb.UpsertDocumentsRequest) -> InvalidRequestError | None:
    """What is wrong with the message as a whole: then none of its documents is stored."""
    if len(request.more) > MAX_MORE:
        what = f"has {len(request.more)} items; {MAX_MORE} are allowed"
        return InvalidRequestError([("more", what)])
    if any(each.more for each in request.more):
        return InvalidRequestError([("more", "is only for the outermost message")])
    return None


def _answer(request: pb.UpsertDocumentsRequest) -> pb.UpsertDocumentsResponse:
    return pb.UpsertDocumentsResponse(
        request_id=request.request_id, image_id=request.document.image_id
    )


def _written_to(index: Index, number: int) -> Revision:
    revision = index.revision(number)
    if revision is None:
        raise RevisionNotFoundError(index.live.name, number)
    if number and revision.live:
        raise RevisionStateError(f"revision {number} is live: write to the index")
    return revision
