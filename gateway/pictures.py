"""What is kept of an image beside its bytes: size, hash, date, thumbnail."""

import io
from dataclasses import dataclass
from datetime import datetime

import imagehash
from PIL import Image

from image_kit.decoding import ImageLimits, decode

THUMBNAIL_SIDE = 512
THUMBNAIL_TYPE = "image/jpeg"
_QUALITY = 85


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
    """

    width: int
    height: int
    format: str
    phash: str
    captured_at: datetime | None
    thumbnail: bytes


def prepare(data: bytes, limits: ImageLimits) -> Prepared:
    """Looks at an encoded image.

    The hash is pHash (Zauner 2010, "Implementation and Benchmarking of Perceptual
    Image Hash Functions"), by ImageHash.

    Raises:
        ImageError: It cannot be decoded, or is beyond the limits.
    """
    image = decode(data, limits, at_least=THUMBNAIL_SIDE)
    small = image.picture
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return Prepared(
        width=image.width,
        height=image.height,
        format=image.format,
        phash=str(imagehash.phash(small)),
        captured_at=image.captured_at,
        thumbnail=buffer.getvalue(),
    )


def content_type(data: bytes) -> str:
    """Names the media type of an encoded image that was accepted once."""
    with Image.open(io.BytesIO(data)) as image:
        kind = Image.MIME.get(image.format or "")
    return kind or "application/octet-stream"
