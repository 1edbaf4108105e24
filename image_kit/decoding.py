"""Encoded bytes to an upright RGB picture, refused in the words of a service's errors.

Both the embedder and the gateway read images by the rules of `image_kit.reading`, so that what
one accepts the other does.
"""

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from image_kit import reading
from image_kit.reading import FORMATS, DecodedImage, ImageLimits, RefusedImage
from service_kit.errors import ServiceError

__all__ = ["FORMATS", "DecodedImage", "ImageError", "ImageLimits", "check_length", "decode"]


class ImageError(ServiceError):
    """The bytes cannot be used as an image.

    Args:
        what: What is wrong, for the caller.
        reason: Stable reason, e.g. "IMAGE_UNDECODABLE".
        field: Path of the field the bytes came in.
    """

    code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, what: str, reason: str, field: str = "image") -> None:
        super().__init__(f"{field}: {what}")
        self.what = what
        self.reason = reason
        self.field = field

    def details(self) -> list[Message]:
        """Adds the violation of the field."""
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=self.field, description=self.what)
        return [*super().details(), bad]

    def at(self, field: str) -> "ImageError":
        """The same error, for bytes that came in another field."""
        return ImageError(self.what, self.reason, field)


def decode(data: bytes, limits: ImageLimits, at_least: int | None = None) -> DecodedImage:
    """Reads an encoded image in this process; see `reading.read`.

    What strangers sent is read by way of `image_kit.containment`.

    Raises:
        ImageError: The bytes are empty, too many, of no known format, or broken, or
            the image has too many pixels.
    """
    try:
        return reading.read(data, limits, at_least)
    except RefusedImage as refused:
        raise ImageError(refused.what, refused.reason) from refused


def check_length(data: bytes, limits: ImageLimits) -> None:
    """Refuses what need not even be looked at.

    Raises:
        ImageError: The bytes are none, or too many.
    """
    try:
        reading.check_length(data, limits)
    except RefusedImage as refused:
        raise ImageError(refused.what, refused.reason) from refused
