"""Compares images of the image store, in worker threads."""

import hashlib
import io
from collections import OrderedDict

import numpy as np
from PIL import Image

from gateway.candidates import Candidate
from gateway.pictures import prepare
from gateway.proof.comparing import Comparison, compare
from gateway.proof.features import Features, Picture, features
from gateway.store import ORIGINAL, THUMBNAIL, ImageStore
from image_kit.decoding import ImageError, ImageLimits, decode
from service_kit.workers import Workers


class Prover:
    """Proves that images are versions of each other.

    Args:
        store: Has their files.
        workers: Threads that compare.
        limits: Bounds of one image.
        kept: Images whose features are kept for the next time; each takes some 700 kB.
    """

    def __init__(self, store: ImageStore, workers: Workers, limits: ImageLimits, kept: int) -> None:
        self._store = store
        self._workers = workers
        self._limits = limits
        self._kept = kept
        self._features: OrderedDict[str, Features] = OrderedDict()

    async def features(self, index: str, image: Candidate) -> Features | None:
        """What a stored image is compared by; None if there is no file, or none that is readable.

        Raises:
            UnavailableError: The image store does not work.
        """
        known = self._features.get(image.image_id)
        if known is not None:
            self._features.move_to_end(image.image_id)
            return known
        seen: Features | None = None
        if (data := await self._store.read(index, THUMBNAIL, image.image_id)) is not None:
            seen = await self._workers.run(_of_thumbnail, data, image)
        if seen is None:
            if (data := await self._store.read(index, ORIGINAL, image.image_id)) is None:
                return None
            seen = await self._workers.run(_of_original, data, self._limits)
        if seen is None:
            return None
        self._features[image.image_id] = seen
        if len(self._features) > self._kept:
            self._features.popitem(last=False)
        return seen

    async def compare(self, query: Features, image: Features) -> Comparison | None:
        """Compares two images; None if it is not proven that they are versions.

        By their thumbnails: identical pixels are then likely, not certain.
        """
        return await self._workers.run(compare, query, image)

    async def digest(self, index: str, image_id: str) -> bytes | None:
        """Digest of a stored image's pixels; None if its original is not there or not readable.

        Raises:
            UnavailableError: The image store does not work.
        """
        data = await self._store.read(index, ORIGINAL, image_id)
        return None if data is None else await self.digest_of(data)

    async def digest_of(self, data: bytes) -> bytes | None:
        """Digest of an encoded image's pixels; None if it is not readable."""
        return await self._workers.run(_digest, data, self._limits)


def _of_thumbnail(data: bytes, image: Candidate) -> Features | None:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            pixels = np.asarray(opened.convert("RGB"))
    except (OSError, ValueError):
        return None
    return features(Picture(pixels, image.width, image.height))


def _digest(data: bytes, limits: ImageLimits) -> bytes | None:
    try:
        picture = decode(data, limits).picture
    except ImageError:
        return None
    return hashlib.blake2b(picture.tobytes(), digest_size=16).digest()


def _of_original(data: bytes, limits: ImageLimits) -> Features | None:
    try:
        prepared = prepare(data, limits)
    except ImageError:
        return None
    return _of_thumbnail(prepared.thumbnail, Candidate("", prepared.width, prepared.height))
