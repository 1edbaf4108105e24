"""What is taken from an image's file. Runs in decoding processes."""

import contextlib
import hashlib
import io

from PIL import Image

from image_kit import reading
from image_kit.containment.answers import Answer, Facts
from image_kit.metadata import UnclearError, without_metadata
from image_kit.reading import DecodedImage, ImageLimits, RefusedImage, read

THUMBNAIL_SIDE = 512
_QUALITY = 85

# Those without loss first; after them whatever is small enough.
_ENCODINGS: tuple[tuple[str, dict[str, int]], ...] = (
    ("PNG", {"compress_level": 1}),
    ("JPEG", {"quality": 95, "subsampling": 0}),
    ("JPEG", {"quality": 75}),
    ("JPEG", {"quality": 40}),
)

HASHED_SIDE = 32
"""Side of the grey square that the perceptual hash is computed of."""


def look(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Looks at a file.

    Args:
        data: The file.
        limits: Bounds it must keep.
        options: "strips": whether the file is wanted without metadata.

    Returns:
        "width", "height", "format" and "captured_at" (ISO 8601, or null); the thumbnail, a JPEG
        without metadata; the grey square that its perceptual hash is computed of; the file
        without metadata, empty where it had none or is not wanted.

    Raises:
        RefusedImage: The file cannot be used.
    """
    image = read(data, limits, at_least=THUMBNAIL_SIDE)
    small = image.picture
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    grey = small.convert("L").resize((HASHED_SIDE, HASHED_SIDE), Image.Resampling.LANCZOS)
    facts = {
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "captured_at": image.captured_at and image.captured_at.isoformat(),
    }
    stripped = _stripped(data, limits, image) if options["strips"] else b""
    return Answer(facts, [buffer.getvalue(), grey.tobytes(), stripped])


def _stripped(data: bytes, limits: ImageLimits, image: DecodedImage) -> bytes:
    """A file with the same picture, and without metadata; empty where it has none."""
    with contextlib.suppress(UnclearError, RefusedImage):
        stripped = without_metadata(data, image.format, image.orientation)
        if stripped == data:
            return b""
        if reading.measure(stripped, limits) == (image.width, image.height):
            return stripped
    # It is odd, and what an odd file says beside its picture is not known.
    picture = read(data, limits).picture
    for kind, options in _ENCODINGS:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        if buffer.tell() <= limits.max_bytes:
            return buffer.getvalue()
    raise RefusedImage("is too large without what it says beside its picture", "IMAGE_TOO_LARGE")


def pixels(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Decodes a file, e.g. a thumbnail.

    Returns:
        "size" as (width, height); the pixels, RGB.

    Raises:
        RefusedImage: The file cannot be used.
    """
    picture = read(data, limits).picture
    return Answer({"size": picture.size}, [picture.tobytes()])


def digest(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Tells images with the same pixels.

    Returns:
        16 bytes.

    Raises:
        RefusedImage: The file cannot be used.
    """
    picture = read(data, limits).picture
    return Answer({}, [hashlib.blake2b(picture.tobytes(), digest_size=16).digest()])


def measure(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Tells the size of an image by its header.

    Returns:
        "size" as (width, height), after EXIF orientation.

    Raises:
        RefusedImage: The file cannot be used.
    """
    return Answer({"size": reading.measure(data, limits)})


def cut(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Cuts a part out, without loss.

    Args:
        data: The file.
        limits: Bounds it must keep.
        options: "box", as (left, upper, right, lower) in pixels, within the image.

    Returns:
        A PNG.

    Raises:
        RefusedImage: The file cannot be used.
    """
    buffer = io.BytesIO()
    read(data, limits).picture.crop(options["box"]).save(buffer, "PNG", compress_level=1)
    return Answer({}, [buffer.getvalue()])


TASKS = (look, pixels, digest, measure, cut)
