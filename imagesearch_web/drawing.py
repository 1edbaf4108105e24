"""What is made of an image's file. Runs in decoding processes."""

import io

from PIL import Image

from image_kit.containment.answers import Answer, Facts
from image_kit.reading import ImageLimits, read

_QUALITY = 82
_SMALLEST = 64


def draw(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Makes a JPEG, upright, without metadata, whose longer side has at most `side` pixels.

    Nothing is enlarged.

    Args:
        data: The file.
        limits: Bounds it must keep.
        options: "side".

    Raises:
        RefusedImage: The file cannot be used.
    """
    side = options["side"]
    picture = read(data, limits, at_least=side).picture
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return Answer({}, [buffer.getvalue()])


def inspect(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Decodes a file to see whether that is possible.

    Returns:
        "width", "height" and "format".

    Raises:
        RefusedImage: The file cannot be used.
    """
    image = read(data, limits, at_least=_SMALLEST)
    return Answer({"width": image.width, "height": image.height, "format": image.format})


TASKS = (draw, inspect)
