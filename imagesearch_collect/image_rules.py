"""Which images are wanted, judged by their bytes."""

from dataclasses import dataclass, field

from image_kit.decoding import FORMATS, ImageError, ImageLimits, decode
from imagesearch_collect.outcomes import Reason, RefusedError

# Enough to tell that a file is whole; a large JPEG is decoded at an eighth of its size.
_AT_LEAST = 32

_OTHER_TYPES = frozenset(
    {"", "application/octet-stream", "binary/octet-stream", "application/x-download"}
)
"""What servers say of images they do not know."""

_REASONS = {
    "IMAGE_TOO_LARGE": Reason.TOO_LARGE,
    "IMAGE_FORMAT_UNKNOWN": Reason.WRONG_TYPE,
}


@dataclass(frozen=True)
class ImageRules:
    """Bounds on images.

    Attributes:
        min_width: Least width in pixels.
        min_height: Least height in pixels.
        min_bytes: Least size of the file.
        max_bytes: Largest size of the file.
        formats: Encodings that are kept, as Pillow names them.
    """

    min_width: int = 64
    min_height: int = 64
    min_bytes: int = 0
    max_bytes: int = 20 * 1024 * 1024
    formats: frozenset[str] = field(default_factory=lambda: frozenset(FORMATS))


@dataclass(frozen=True)
class Judged:
    """An image that is wanted: its size in pixels, upright, and its encoding."""

    width: int
    height: int
    format: str


def check_type(content_type: str) -> None:
    """Refuses an answer that cannot be an image, before its body is read.

    Raises:
        RefusedError: By its Content-Type it is something else.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "image/svg+xml":
        raise RefusedError(Reason.FORMAT, "is a drawing in SVG")
    if not kind.startswith("image/") and kind not in _OTHER_TYPES:
        raise RefusedError(Reason.WRONG_TYPE, f"is {kind}, not an image")


def judge(data: bytes, rules: ImageRules) -> Judged:
    """Decodes an image and holds it against the rules. Takes milliseconds: not for an event loop.

    Raises:
        RefusedError: It is no image, broken, or not wanted.
    """
    if len(data) < rules.min_bytes:
        what = f"has {len(data)} bytes; at least {rules.min_bytes} are wanted"
        raise RefusedError(Reason.TOO_SMALL, what)
    try:
        image = decode(data, ImageLimits(max_bytes=rules.max_bytes), at_least=_AT_LEAST)
    except ImageError as error:
        raise RefusedError(_REASONS.get(error.reason, Reason.UNDECODABLE), error.what) from error
    if image.format not in rules.formats:
        raise RefusedError(Reason.FORMAT, f"is {image.format}, which is not wanted")
    if image.width < rules.min_width or image.height < rules.min_height:
        what = (
            f"has {image.width} x {image.height} pixels; "
            f"at least {rules.min_width} x {rules.min_height} are wanted"
        )
        raise RefusedError(Reason.TOO_SMALL, what)
    return Judged(image.width, image.height, image.format)
