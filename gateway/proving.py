"""Compares images of the image store, in worker threads."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from gateway.pictures import Pictures
from gateway.proof.comparing import Comparison, compare
from gateway.proof.features import Features, Picture, features
from gateway.proof.relations import Relation
from gateway.store import ORIGINAL, THUMBNAIL, ImageStore
from image_kit.decoding import ImageError
from service_kit.workers import Workers


@dataclass(frozen=True)
class Seen:
    """An image as it is compared.

    Attributes:
        index: The index that it is of.
        image_id: Its id.
        features: Of its thumbnail.
        content: The encoded image; None: it is in the image store.
    """

    index: str
    image_id: str
    features: Features
    content: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the original."""
        return self.features.picture.width, self.features.picture.height


class Prover:
    """Proves that images are versions of each other.

    Args:
        store: Has their files.
        workers: Threads that compare.
        pictures: Decodes them.
        kept_bytes: Memory for the features of images, to have them the next time.
    """

    def __init__(
        self, store: ImageStore, workers: Workers, pictures: Pictures, kept_bytes: int
    ) -> None:
        self._store = store
        self._workers = workers
        self._pictures = pictures
        self._features = _Kept(kept_bytes)

    async def look(self, index: str, image_id: str, width: int, height: int) -> Seen | None:
        """Gets what a stored image is compared by.

        Args:
            index: Name of the index.
            image_id: Its id.
            width: Of the original, in pixels.
            height: Of the original, in pixels.

        Returns:
            None if there is no file, or none that is readable.

        Raises:
            UnavailableError: The image store does not work.
        """
        if (known := self._features.get(image_id)) is not None:
            return Seen(index, image_id, known)
        seen: Features | None = None
        if (data := await self._store.read(index, THUMBNAIL, image_id)) is not None:
            seen = await self._workers.run(self._of_thumbnail, data, width, height)
        if seen is None:
            if (data := await self._store.read(index, ORIGINAL, image_id)) is None:
                return None
            seen = await self._workers.run(self._of_original, data)
        if seen is None:
            return None
        self._features.put(image_id, seen)
        return Seen(index, image_id, seen)

    async def compare(self, query: Seen, image: Seen) -> Comparison | None:
        """Compares two images; None if it is not proven that they are versions.

        Thumbnails are enough for all but one thing: whether two images have the very same pixels
        is told by the originals, where they are there.

        Raises:
            UnavailableError: The image store does not work.
        """
        found = await self._workers.run(compare, query.features, image.features)
        if found is None or query.size != image.size or found.relations[0] not in _ALIKE:
            return found
        ours, theirs = await self._digest(query), await self._digest(image)
        if ours is None or theirs is None:
            return found
        return await self._workers.run(
            compare, _known(query.features, ours), _known(image.features, theirs)
        )

    async def _digest(self, seen: Seen) -> bytes | None:
        """Digest of an image's pixels; None if its original is not there or not readable."""
        data = seen.content
        if data is None:
            data = await self._store.read(seen.index, ORIGINAL, seen.image_id)
        return None if data is None else await self._workers.run(self._digest_of, data)

    def _of_thumbnail(self, data: bytes, width: int, height: int) -> Features | None:
        try:
            return features(Picture(self._pictures.pixels(data), width, height))
        except ImageError:
            return None

    def _of_original(self, data: bytes) -> Features | None:
        try:
            prepared = self._pictures.prepare(data)
        except ImageError:
            return None
        return self._of_thumbnail(prepared.thumbnail, prepared.width, prepared.height)

    def _digest_of(self, data: bytes) -> bytes | None:
        try:
            return self._pictures.digest(data)
        except ImageError:
            return None


class _Kept:
    """The features of the images that were asked for last, as many as there is room for."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._size = 0
        self._by_id: OrderedDict[str, Features] = OrderedDict()

    def get(self, image_id: str) -> Features | None:
        if (seen := self._by_id.get(image_id)) is not None:
            self._by_id.move_to_end(image_id)
        return seen

    def put(self, image_id: str, seen: Features) -> None:
        if (known := self._by_id.pop(image_id, None)) is not None:
            self._size -= _bytes(known)
        self._by_id[image_id] = seen
        self._size += _bytes(seen)
        while self._size > self._most:
            _, oldest = self._by_id.popitem(last=False)
            self._size -= _bytes(oldest)


def _bytes(seen: Features) -> int:
    arrays = (seen.picture.pixels, seen.luma, seen.coarse, seen.points, seen.sizes, seen.angles)
    return seen.descriptors.nbytes + sum(array.nbytes for array in arrays)


_ALIKE = (Relation.IDENTICAL_PIXELS, Relation.RECOMPRESSED)


def _known(seen: Features, digest: bytes) -> Features:
    return replace(seen, picture=replace(seen.picture, digest=digest))
