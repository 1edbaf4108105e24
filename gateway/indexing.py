"""The import pipeline: look at the image, embed it, keep it, index it, acknowledge it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as search_pb

from gateway.clients.embedder import BulkEmbedder, Embedder
from gateway.clients.search import BulkSearch, Search
from gateway.pictures import Pictures, Prepared
from gateway.store import ImageStore
from image_kit.decoding import ImageError
from service_kit import tracing
from service_kit.errors import RemoteError
from service_kit.workers import Workers

_CONTENT = "image.content"

_LOCKS = 1024

_MOVES = (("document.sources[0].", "image."), ("document.", "image."))


@dataclass(frozen=True)
class Upload:
    """An image to store.

    Attributes:
        content: The file.
        document: What its sender says of it.
    """

    content: bytes
    document: types.Document


class Indexing:
    """Stores images.

    Args:
        embedder: Makes vectors.
        search: Keeps documents.
        store: Keeps files.
        workers: Threads that look at images.
        pictures: Looks at them.
        auto_create: Make indexes that are not there.
    """

    def __init__(
        self,
        embedder: Embedder,
        search: Search,
        store: ImageStore,
        workers: Workers,
        pictures: Pictures,
        auto_create: bool,
    ) -> None:
        self._embedder = embedder
        self._search = search
        self._store = store
        self._workers = workers
        self._pictures = pictures
        self._auto_create = auto_create
        self._ensured: set[str] = set()
        self._ensuring = asyncio.Lock()
        self._locks = [asyncio.Lock() for _ in range(_LOCKS)]

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """Opens streams to the other services, for one image or many."""
        async with self._embedder.bulk() as embedder, self._search.bulk() as search:
            yield Session(self, embedder, search)

    async def store_one(
        self,
        embedder: BulkEmbedder,
        search: BulkSearch,
        index: str,
        upload: Upload,
        refresh: "types.RefreshPolicy.ValueType",
    ) -> tuple[str, "types.UpsertOutcome.ValueType"]:
        """Stores an image; returns when its file and its document are safe.

        Returns:
            Its id, and what was done.
        """
        await self._ensure(index)
        try:
            with tracing.span("prepare"):
                prepare = self._pictures.prepare
                seen = await self._workers.run(prepare, upload.content, to_keep=True)
        except ImageError as error:
            raise error.at(_CONTENT) from error
        vector = await embedder.embed_image(upload.content, _CONTENT)
        document = _document(upload, seen)
        request = search_pb.UpsertDocumentsRequest(
            index=index, document=document, vector=vector, refresh=refresh
        )
        async with self.alone(index, document.image_id):
            await self._store.put(index, document.image_id, seen.content, seen.thumbnail)
            try:
                outcome = await search.upsert(request, _MOVES)
            except RemoteError as error:
                if error.code is grpc.StatusCode.NOT_FOUND:
                    self._ensured.discard(index)  # it was deleted: made again next time
                raise
        return document.image_id, outcome

    @asynccontextmanager
    async def alone(self, index: str, *image_ids: str) -> AsyncIterator[None]:
        """Lets nobody else of this process store or delete the images meanwhile.

        An image's file and its document live in different places: else a deletion between the
        two writes could leave a document without its file.
        """
        async with AsyncExitStack() as stack:
            # In one order for all, so that nobody waits for one who waits for him.
            for number in sorted({hash((index, each)) % _LOCKS for each in image_ids}):
                await stack.enter_async_context(self._locks[number])
            yield

    async def _ensure(self, index: str) -> None:
        """Makes the index if there is none, and if that is wanted."""
        if index in self._ensured or not self._auto_create:
            return
        async with self._ensuring:
            if index in self._ensured:
                return
            if await self._search.index(index) is None:
                model = (await self._embedder.models())[0]
                await self._search.create_index(index, model.space, model.dimensions)
            self._ensured.add(index)


class Session:
    """Stores images over streams that are open."""

    def __init__(self, indexing: Indexing, embedder: BulkEmbedder, search: BulkSearch) -> None:
        self._indexing = indexing
        self._embedder = embedder
        self._search = search
        self.touched: set[str] = set()
        """Indexes that something was stored in."""

    async def store(
        self, index: str, upload: Upload, refresh: "types.RefreshPolicy.ValueType"
    ) -> tuple[str, "types.UpsertOutcome.ValueType"]:
        """Stores an image; answers its id, and what was done.

        Raises:
            ServiceError: It is not stored; or nobody knows, and it is safe to try again.
        """
        stored = await self._indexing.store_one(
            self._embedder, self._search, index, upload, refresh
        )
        self.touched.add(index)
        return stored


def _document(upload: Upload, seen: Prepared) -> types.Document:
    document = types.Document()
    document.CopyFrom(upload.document)
    document.image_id = hashlib.sha256(upload.content).hexdigest()
    document.size_bytes = len(upload.content)
    document.width = seen.width
    document.height = seen.height
    document.format = seen.format
    document.phash = seen.phash
    if seen.captured_at is not None and not document.HasField("captured_at"):
        document.captured_at.FromDatetime(seen.captured_at)
    return document
