"""Images whose versions are looked for, with all that it takes to find them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from imagesearch.common.v1 import types_pb2 as types
from PIL import Image

from gateway import forms
from gateway.clients.embedder import Embedder
from gateway.clients.search import Search
from gateway.pictures import Pictures
from gateway.proof.features import Features, Picture, features
from gateway.proving import Seen
from gateway.query_images import ImageSource, QueryImages
from gateway.store import THUMBNAIL, ImageStore
from image_kit.decoding import ImageError
from service_kit.workers import Workers


@dataclass(frozen=True)
class VersionQuery:
    """An image whose versions are looked for.

    Attributes:
        image_id: Of its bytes.
        stored: What is known of it, if it was named by id.
        seen: What it is compared by.
        vector: Its vector.
        other_vectors: Those of its other forms: see `forms.encoded_forms`.
        hashes: Its perceptual hashes, turned and mirrored.
    """

    image_id: str
    stored: types.Document | None
    seen: Seen
    vector: types.Vector
    other_vectors: list[types.Vector]
    hashes: list[str]


@dataclass(frozen=True)
class _Look:
    features: Features
    encoded_forms: list[bytes]
    hashes: list[str]


class VersionQueries:
    """Gets the images that requests name.

    Args:
        embedder: Makes vectors.
        search: Has those of stored images.
        store: Has their thumbnails.
        images: Gets the images themselves.
        workers: Threads that look at pictures.
        pictures: Decodes them.
    """

    def __init__(
        self,
        embedder: Embedder,
        search: Search,
        store: ImageStore,
        images: QueryImages,
        workers: Workers,
        pictures: Pictures,
    ) -> None:
        self._embedder = embedder
        self._search = search
        self._store = store
        self._images = images
        self._workers = workers
        self._pictures = pictures

    async def get(self, source: ImageSource) -> VersionQuery:
        """Gets an image.

        Raises:
            ServiceError: There is no such image, or it cannot be had or embedded.
        """
        if source.kind == "image_id":
            return await self._stored(source)
        data = await self._images.content(source)
        seen = await self._look(data, source)
        vectors = await self._embedder.embed_images([data, *seen.encoded_forms], source.field)
        image_id = hashlib.sha256(data).hexdigest()
        return _query(Seen(source.index, image_id, seen.features, data), None, seen, vectors)

    async def _stored(self, source: ImageSource) -> VersionQuery:
        found = await self._search.document(
            source.index, source.name, with_vector=True, field=source.field
        )
        thumbnail = await self._store.read(source.index, THUMBNAIL, source.name)
        if thumbnail is None:
            seen = await self._look(await self._images.content(source), source)
        else:
            size = found.document.width, found.document.height
            seen = await self._workers.run(self._seen, thumbnail, *size)
        vectors = await self._embedder.embed_images(seen.encoded_forms, source.field)
        itself = Seen(source.index, source.name, seen.features)
        return _query(itself, found.document, seen, [found.vector, *vectors])

    async def _look(self, data: bytes, source: ImageSource) -> _Look:
        try:
            return await self._workers.run(self._prepared, data)
        except ImageError as error:
            raise error.at(source.field) from error

    def _prepared(self, data: bytes) -> _Look:
        # By way of a thumbnail, as stored images are seen: the same picture is then the same.
        prepared = self._pictures.prepare(data)
        return self._seen(prepared.thumbnail, prepared.width, prepared.height)

    def _seen(self, thumbnail: bytes, width: int, height: int) -> _Look:
        pixels = self._pictures.pixels(thumbnail)
        picture = Image.fromarray(pixels)
        seen = features(Picture(pixels, width, height))
        return _Look(seen, forms.encoded_forms(picture), forms.hashes(picture))


def _query(
    itself: Seen,
    stored: types.Document | None,
    look: _Look,
    vectors: Sequence[types.Vector],
) -> VersionQuery:
    return VersionQuery(
        itself.image_id,
        stored,
        itself,
        vector=vectors[0],
        other_vectors=list(vectors[1:]),
        hashes=look.hashes,
    )
