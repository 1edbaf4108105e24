"""What the RPCs that store and read images do: each reads as its steps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import TypeVar

import structlog
from google.rpc import code_pb2, status_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from gateway import pictures, wire
from gateway.clients.calls import RefusedError
from gateway.clients.embedder import EMBEDDER, Embedder
from gateway.clients.search import SEARCH, Search
from gateway.errors import ContentNotFoundError
from gateway.indexing import Indexing, Session
from gateway.metrics import Metrics
from gateway.store import ORIGINAL, THUMBNAIL, ImageStore
from image_kit.decoding import ImageLimits
from image_kit.naming import index_name
from service_kit import deadlines, streaming, tracing
from service_kit.budget import ByteBudget
from service_kit.errors import DeadlineError, RemoteRefusalError, ServiceError, reason_of
from service_kit.identity.callers import may_see

T = TypeVar("T")

log = structlog.get_logger()

_STATUS_S = 30.0
_OUTCOMES = {
    types.UPSERT_OUTCOME_CREATED: "created",
    types.UPSERT_OUTCOME_MERGED: "merged",
    types.UPSERT_OUTCOME_UNCHANGED: "unchanged",
}


class StorageRpcs:
    """Stores, deletes and reads images.

    Args:
        embedder: Makes vectors.
        search: Keeps documents.
        store: Keeps files.
        indexing: Stores images.
        limits: Bounds of one image.
        room: Bounds the bytes of images that have been read and not answered.
        max_in_flight: Most images of a stream that have been read and not answered.
        stopping: Set when the server stops: streams then end after what they have read.
        metrics: Counts images.
        idle_s: Longest that nothing may come on a stream.
    """

    def __init__(
        self,
        embedder: Embedder,
        search: Search,
        store: ImageStore,
        indexing: Indexing,
        limits: ImageLimits,
        room: ByteBudget,
        max_in_flight: int,
        stopping: asyncio.Event,
        metrics: Metrics,
        idle_s: float,
    ) -> None:
        self._embedder = embedder
        self._search = search
        self._store = store
        self._indexing = indexing
        self._limits = limits
        self._room = room
        self._max_in_flight = max_in_flight
        self._stopping = stopping
        self._metrics = metrics
        metrics.pending(lambda: room.held)
        self._idle_s = idle_s

    async def index_image(self, request: pb.IndexImageRequest) -> pb.IndexImageResponse:
        async with (
            self._room.hold(len(request.image.content)),
            self._indexing.session() as session,
        ):
            indexed = await self._index(session, request.index, request.image, request.refresh)
        return pb.IndexImageResponse(indexed=indexed)

    async def index_images(
        self, request_iterator: AsyncIterator[pb.IndexImagesRequest]
    ) -> AsyncIterator[pb.IndexImagesResponse]:
        async with self._indexing.session() as session:

            async def begin(
                request: pb.IndexImagesRequest,
            ) -> asyncio.Task[pb.IndexImagesResponse]:
                taken = await self._room.take(len(request.image.content))
                task = asyncio.create_task(self._index_item(session, request))
                task.add_done_callback(lambda _: self._room.give_back(taken))
                return task

            answers = streaming.answers(
                aiter(request_iterator),
                begin,
                most=self._max_in_flight,
                stopping=self._stopping,
                idle_s=self._idle_s,
            )
            async with aclosing(answers):
                async for answer in answers:
                    yield answer
            for index in session.touched:
                await self._search.refresh(index)

    async def _index_item(
        self, session: Session, request: pb.IndexImagesRequest
    ) -> pb.IndexImagesResponse:
        response = pb.IndexImagesResponse(request_id=request.request_id)
        try:
            indexed = await self._index(
                session, request.index, request.image, types.REFRESH_POLICY_NONE
            )
            response.indexed.CopyFrom(indexed)
        except ServiceError as error:
            response.error.CopyFrom(error.to_status())
        except Exception:  # this image's own: its neighbours in the stream go on
            log.exception("index_failed")
            what = "internal error; see the server's log"
            response.error.CopyFrom(status_pb2.Status(code=code_pb2.INTERNAL, message=what))
        return response

    async def _index(
        self,
        session: Session,
        index: str,
        image: pb.ImageUpload,
        refresh: "types.RefreshPolicy.ValueType",
    ) -> pb.IndexedImage:
        try:
            with tracing.span("store image", {"imagesearch.bytes": len(image.content)}):
                upload = wire.upload(image, self._limits)
                image_id, outcome = await session.store(index_name(index), upload, refresh)
        except BaseException as error:
            self._metrics.image(reason_of(error))
            raise
        self._metrics.image(_OUTCOMES.get(outcome, "stored"))
        return pb.IndexedImage(image_id=image_id, outcome=outcome)

    async def delete_images(self, request: pb.DeleteImagesRequest) -> pb.DeleteImagesResponse:
        index = index_name(request.index)
        async with self._indexing.alone(index, *request.image_ids):
            gone = await self._search.delete(index, request.image_ids, request.refresh)
            await self._store.delete(index, request.image_ids)
        return pb.DeleteImagesResponse(
            deleted_image_ids=gone.deleted_image_ids, missing_image_ids=gone.missing_image_ids
        )

    async def get_image(self, request: pb.GetImageRequest) -> pb.GetImageResponse:
        index, image_id = wire.image_key(request.index, request.image_id)
        found = await self._search.document(index, image_id)
        return pb.GetImageResponse(image=found.document)

    async def get_image_content(
        self, request: pb.GetImageContentRequest
    ) -> pb.GetImageContentResponse:
        index, image_id = wire.image_key(request.index, request.image_id)
        original = wire.variant(request.variant) == pb.IMAGE_VARIANT_ORIGINAL
        data = await self._store.read(index, ORIGINAL if original else THUMBNAIL, image_id)
        if data is None:
            raise ContentNotFoundError(index, image_id)
        kind = pictures.content_type(data) if original else pictures.THUMBNAIL_TYPE
        return pb.GetImageContentResponse(content=data, content_type=kind)

    async def get_status(self, request: pb.GetStatusRequest) -> pb.GetStatusResponse:
        name = index_name(request.index)
        (_, embedder), (_, search), (models, no_models), (index, no_index) = await asyncio.gather(
            _told(self._embedder.check()),
            _told(self._search.check()),
            _told(self._embedder.models()),
            _told(self._search.index(name)),
        )
        away = {
            EMBEDDER: _why(EMBEDDER, embedder, no_models),
            SEARCH: _why(SEARCH, search, no_index),
        }
        return wire.status_response(away, models or (), index)

    async def list_indexes(self, request: pb.ListIndexesRequest) -> pb.ListIndexesResponse:
        token = request.page_token
        while True:  # a page without one that the caller may use is passed over
            found, token = await self._search.indexes(request.page_size, token)
            shown = [each for each in found if may_see(each.name)]
            if shown or not token:
                return pb.ListIndexesResponse(
                    indexes=map(wire.index_status, shown), next_page_token=token
                )


async def _told(call: Awaitable[T]) -> tuple[T | None, Exception | None]:
    """Gives a call's answer, or None and why there is none: also that it takes too long."""
    try:
        async with asyncio.timeout(deadlines.share(_STATUS_S)):
            return await call, None
    except TimeoutError:
        return None, DeadlineError("does not answer in time")
    except (ServiceError, RemoteRefusalError) as error:
        return None, error


def _why(service: str, amiss: Exception | None, untold: Exception | None) -> Exception | None:
    """Why a service cannot do its work for us; None: it can, whatever else it does not tell."""
    for error in (amiss, untold):
        if isinstance(error, RemoteRefusalError):
            return RefusedError(service, error)
    return amiss
