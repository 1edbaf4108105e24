"""Pictures in the size that a page shows them in."""

import io

from PIL import Image

from image_kit.decoding import ImageLimits, decode
from imagesearch_web.problems import ProblemError, invalid
from service_kit.errors import ServiceError

SIDES = (128, 256, 512, 1024)
"""Longest sides, in pixels, that can be asked for."""

STORED_SIDE = 512
"""Longest side of the thumbnails that the gateway has."""

MEDIA_TYPE = "image/jpeg"
_QUALITY = 82


def side_of(text: str) -> int:
    """Reads which size is wanted; "": 256.

    Raises:
        ProblemError: There is no such size.
    """
    if text in {"", *map(str, SIDES)}:
        return int(text or 256)
    raise invalid("w", f"is none of {', '.join(map(str, SIDES))}")


def resized(data: bytes, side: int, limits: ImageLimits) -> bytes:
    """Makes a JPEG, upright, without metadata, whose longer side has at most `side` pixels.

    Nothing is enlarged. What has passed through here is pixels only, whatever the bytes were.

    Raises:
        ProblemError: The bytes are no image that can be decoded.
    """
    try:
        picture = decode(data, limits, at_least=side).picture
    except ServiceError as error:
        raise ProblemError(422, "IMAGE_UNDECODABLE", str(error)) from error
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
