"""Pictures in the size that a page shows them in."""

from typing import Any

from image_kit.containment.decoders import Decoders
from image_kit.decoding import ImageError, ImageLimits
from imagesearch_web.drawing import draw, inspect
from imagesearch_web.problems import ProblemError, invalid

SIDES = (128, 256, 512, 1024)
"""Longest sides, in pixels, that can be asked for."""

STORED_SIDE = 512
"""Longest side of the thumbnails that the gateway has."""

MEDIA_TYPE = "image/jpeg"


def side_of(text: str) -> int:
    """Reads which size is wanted; "": 256.

    Raises:
        ProblemError: There is no such size.
    """
    if text in {"", *map(str, SIDES)}:
        return int(text or 256)
    raise invalid("w", f"is none of {', '.join(map(str, SIDES))}")


class Thumbnails:
    """Decodes images. Its methods block: they are for worker threads.

    Args:
        limits: Bounds of one image.
        decoders: Where files are decoded.
    """

    def __init__(self, limits: ImageLimits, decoders: Decoders) -> None:
        self._limits = limits
        self._decoders = decoders

    def resized(self, data: bytes, side: int) -> bytes:
        """Makes a JPEG, upright, without metadata, whose longer side has at most `side` pixels.

        Nothing is enlarged. What has passed through here is pixels only, whatever the bytes were.

        Raises:
            ProblemError: The bytes are no image that can be decoded.
            UnavailableError: There is no decoder.
        """
        try:
            return bytes(self._decoders.run(draw, data, self._limits, side=side).parts[0])
        except ImageError as error:
            raise ProblemError(422, "IMAGE_UNDECODABLE", str(error)) from error

    def inspect(self, data: bytes) -> dict[str, Any]:
        """Reads "width", "height" and "format" of an image that can be decoded.

        Raises:
            ImageError: It cannot be decoded, or is beyond the limits.
            UnavailableError: There is no decoder.
        """
        facts = self._decoders.run(inspect, data, self._limits).facts
        return {
            "width": int(facts["width"]),
            "height": int(facts["height"]),
            "format": str(facts["format"]),
        }
