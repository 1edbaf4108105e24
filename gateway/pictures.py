"""What is kept of an image beside its bytes: size, hash, date, thumbnail."""

from dataclasses import dataclass
from datetime import datetime

import imagehash
import numpy as np
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from numpy.typing import NDArray
from PIL import Image

from gateway import looking
from gateway.regions import pixels_of
from image_kit.containment.decoders import Decoders, InThisProcess
from image_kit.decoding import ImageLimits

THUMBNAIL_TYPE = "image/jpeg"


@dataclass(frozen=True)
class Prepared:
    """What is known of an image.

    Attributes:
        width: In pixels, after EXIF orientation.
        height: In pixels, after EXIF orientation.
        format: Encoding, e.g. "JPEG".
        phash: 64-bit perceptual hash, 16 hex digits.
        captured_at: From EXIF; None where it is not said.
        thumbnail: JPEG, at most 512 pixels a side, upright, without metadata.
        content: The file, as it may be kept if that was asked for.
    """

    width: int
    height: int
    format: str
    phash: str
    captured_at: datetime | None
    thumbnail: bytes
    content: bytes


class Pictures:
    """Looks at encoded images. Its methods block: they are for worker threads.

    Args:
        limits: Bounds of one image.
        decoders: Where files are decoded.
        keeps_metadata: Whether files are kept byte for byte, or without EXIF and the like.
    """

    def __init__(
        self,
        limits: ImageLimits,
        decoders: Decoders | None = None,
        keeps_metadata: bool = False,
    ) -> None:
        self.limits = limits
        self._keeps_metadata = keeps_metadata
        self._decoders = decoders or InThisProcess()

    def prepare(self, data: bytes, to_keep: bool = False) -> Prepared:
        """Looks at an image.

        Args:
            data: The file.
            to_keep: Whether its content will be kept, and must be without metadata.

        The hash is pHash (Zauner 2010, "Implementation and Benchmarking of Perceptual
        Image Hash Functions"), by ImageHash.

        Raises:
            ImageError: It cannot be decoded, or is beyond the limits.
            UnavailableError: There is no decoder.
        """
        strips = to_keep and not self._keeps_metadata
        answer = self._decoders.run(looking.look, data, self.limits, strips=strips)
        thumbnail, grey, stripped = answer.parts
        square = Image.frombytes("L", (looking.HASHED_SIDE, looking.HASHED_SIDE), bytes(grey))
        taken = answer.facts["captured_at"]
        return Prepared(
            width=int(answer.facts["width"]),
            height=int(answer.facts["height"]),
            format=str(answer.facts["format"]),
            phash=str(imagehash.phash(square)),
            captured_at=None if taken is None else datetime.fromisoformat(taken),
            thumbnail=bytes(thumbnail),
            content=bytes(stripped) or data,
        )

    def pixels(self, data: bytes) -> NDArray[np.uint8]:
        """Decodes an image, e.g. a thumbnail.

        Returns:
            (H, W, 3), RGB.

        Raises:
            ImageError: It cannot be decoded, or is beyond the limits.
            UnavailableError: There is no decoder.
        """
        answer = self._decoders.run(looking.pixels, data, self.limits)
        width, height = answer.facts["size"]
        return np.frombuffer(answer.parts[0], np.uint8).reshape(height, width, 3)

    def digest(self, data: bytes) -> bytes:
        """Digest of an image's pixels, whatever their encoding: 16 bytes.

        Raises:
            ImageError: It cannot be decoded, or is beyond the limits.
            UnavailableError: There is no decoder.
        """
        return bytes(self._decoders.run(looking.digest, data, self.limits).parts[0])

    def cut(self, data: bytes, region: queries_pb.Region, field: str) -> bytes:
        """Cuts a region out of an image, without loss: a PNG.

        Raises:
            ImageError: It cannot be decoded, or is beyond the limits.
            InvalidRequestError: The region is not within it; `field` is named.
            UnavailableError: There is no decoder.
        """
        width, height = self._decoders.run(looking.measure, data, self.limits).facts["size"]
        box = pixels_of(region, width, height, field)
        return bytes(self._decoders.run(looking.cut, data, self.limits, box=box).parts[0])


_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    *((mark, "image/tiff") for mark in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)


def content_type(data: bytes) -> str:
    """Names the media type of an encoded image that was accepted once, by its first bytes."""
    for mark, kind in _SIGNATURES:
        if data.startswith(mark):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return "image/avif" if data[8:12] in {b"avif", b"avis"} else "image/heif"
    return "application/octet-stream"
