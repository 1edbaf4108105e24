"""What is taken from an image's file. Runs in decoding processes."""

import hashlib
import io

from PIL import Image

from image_kit import reading
from image_kit.containment.answers import Answer, Facts
from image_kit.reading import ImageLimits, read

THUMBNAIL_SIDE = 512
_QUALITY = 85

HASHED_SIDE = 32
"""Side of the grey square that the perceptual hash is computed of."""


def look(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Looks at a file.

    Returns:
        "width", "height", "format" and "captured_at" (ISO 8601, or null); the thumbnail, a JPEG
        without metadata; the grey square that its perceptual hash is computed of.

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
    return Answer(facts, [buffer.getvalue(), grey.tobytes()])


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
