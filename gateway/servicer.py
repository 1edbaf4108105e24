"""ImageSearchService: each RPC reads as its steps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from google.rpc import code_pb2, status_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from gateway import pictures, wire
from gateway.clients import EMBEDDER, SEARCH, Embedder, Search
from gateway.errors import ContentNotFoundError, FetchForbiddenError
from gateway.fetch import Fetcher
from gateway.indexing import Indexing, Session
from gateway.store import ORIGINAL, THUMBNAIL, ImageStore
from image_kit.decoding import ImageLimits
from image_kit.naming import index_name
from service_kit import streaming
from service_kit.budget import ByteBudget
from service_kit.errors import ServiceError

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

T = TypeVar("T")

log = structlog.get_logger()


class ImageSearchServicer(pb_grpc.ImageSearchServiceServicer):
    """The RPCs of ImageSearchService.

    Args:
        embedder: Makes vectors.
        search: Keeps documents.
        store: Keeps files.
        indexing: Stores images.
        fetcher: Fetches URLs; None where that is not allowed.
        limits: Bounds of one image.
        room: Bounds the bytes of images that have been read and not answered.
        max_in_flight: Most images of a stream that have been read and not answered.
        stopping: Set when the server stops: streams then end after what they have read.
    """

    def __init__(
        self,
        embedder: Embedder,
        search: Search,
        store: ImageStore,
        indexing: Indexing,
        fetcher: Fetcher | None,
        limits: ImageLimits,
        room: ByteBudget,
        max_in_flight: int,
        stopping: asyncio.Event,
    ) -> None:
        self._embedder = embedder
        self._search = search
        self._store = store
        self._indexing = indexing
        self._fetcher = fetcher
        self._limits = limits
        self._room = room
        self._max_in_flight = max_in_flight
        self._stopping = stopping

    async def SearchByImage(
        self, request: pb.SearchByImageRequest, context: "Context"
    ) -> pb.SearchByImageResponse:
        vector = await self._vector_of(request)
        hits = await self._search.knn(wire.knn_request(request, vector))
        return pb.SearchByImageResponse(results=wire.results(hits))

    async def _vector_of(self, request: pb.SearchByImageRequest) -> types.Vector:
        kind = wire.source_kind(request)
        if kind == "image_id":
            index, image_id = wire.image_key(request.index, request.image_id)
            found = await self._search.document(index, image_id, with_vector=True)
            return found.vector
        data = request.image
        if kind == "url":
            if self._fetcher is None:
                raise FetchForbiddenError("url: fetching URLs is not allowed on this server")
            data = await self._fetcher.fetch(request.url, "url")
        wire.check_image(data, kind, self._limits)
        return await self._embedder.embed_image(data, kind)

    async def SearchByText(
        self, request: pb.SearchByTextRequest, context: "Context"
    ) -> pb.SearchByTextResponse:
        vector, truncated = await self._embedder.embed_text(request.text, "text")
        hits = await self._search.knn(wire.knn_request(request, vector))
        return pb.SearchByTextResponse(results=wire.results(hits), truncated=truncated)

    async def IndexImage(
        self, request: pb.IndexImageRequest, context: "Context"
    ) -> pb.IndexImageResponse:
        async with (
            self._room.hold(len(request.image.content)),
            self._indexing.session() as session,
        ):
            indexed = await self._index(session, request.index, request.image, request.refresh)
        return pb.IndexImageResponse(indexed=indexed)

    async def IndexImages(
        self, request_iterator: AsyncIterator[pb.IndexImagesRequest], context: "Context"
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
                aiter(request_iterator), begin, most=self._max_in_flight, stopping=self._stopping
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
        upload = wire.upload(image, self._limits)
        image_id, outcome = await session.store(index_name(index), upload, refresh)
        return pb.IndexedImage(image_id=image_id, outcome=outcome)

    async def DeleteImages(
        self, request: pb.DeleteImagesRequest, context: "Context"
    ) -> pb.DeleteImagesResponse:
        index = index_name(request.index)
        async with self._indexing.alone(index, *request.image_ids):
            gone = await self._search.delete(index, request.image_ids, request.refresh)
            await self._store.delete(index, request.image_ids)
        return pb.DeleteImagesResponse(
            deleted_image_ids=gone.deleted_image_ids, missing_image_ids=gone.missing_image_ids
        )

    async def GetImage(
        self, request: pb.GetImageRequest, context: "Context"
    ) -> pb.GetImageResponse:
        index, image_id = wire.image_key(request.index, request.image_id)
        found = await self._search.document(index, image_id)
        return pb.GetImageResponse(image=found.document)

    async def GetImageContent(
        self, request: pb.GetImageContentRequest, context: "Context"
    ) -> pb.GetImageContentResponse:
        index, image_id = wire.image_key(request.index, request.image_id)
        original = wire.variant(request.variant) == pb.IMAGE_VARIANT_ORIGINAL
        data = await self._store.read(index, ORIGINAL if original else THUMBNAIL, image_id)
        if data is None:
            raise ContentNotFoundError(index, image_id)
        kind = pictures.content_type(data) if original else pictures.THUMBNAIL_TYPE
        return pb.GetImageContentResponse(content=data, content_type=kind)

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: "Context"
    ) -> pb.GetStatusResponse:
        name = index_name(request.index)
        (_, no_embedder), (_, no_search), (models, _), (index, _) = await asyncio.gather(
            _told(self._embedder.check()),
            _told(self._search.check()),
            _told(self._embedder.models()),
            _told(self._search.index(name)),
        )
        away = {EMBEDDER: no_embedder, SEARCH: no_search}
        return wire.status_response(away, models or (), index)


async def _told(call: Awaitable[T]) -> tuple[T | None, str]:
    """Gives a call's answer and "", or None and why there is none."""
    try:
        return await call, ""
    except ServiceError as error:
        return None, str(error)
