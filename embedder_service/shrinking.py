"""Files to the pixels that a vision tower's square is resized from. Runs in decoding processes."""

from PIL import Image

from image_kit.containment.answers import Answer, Facts
from image_kit.reading import ImageLimits, read

# A JPEG is decoded at 1/2, 1/4 or 1/8 of its size only while its shorter side keeps three times
# what the model reads. Measured on photos and textures: cosine to the full decode above 0.999;
# at twice it falls to 0.9988.
_DECODE_AT_LEAST = 3

# PyTorch, which is not loaded here, resizes bytes twice as fast as Pillow, to within 2 of 255 of
# the same values. It must resize all of a picture before the middle is cut out, so very long
# ones are left to Pillow.
IN_TORCH = {Image.Resampling.BICUBIC: "bicubic", Image.Resampling.BILINEAR: "bilinear"}
_LONGEST_IN_TORCH = 3


def resized_to(size: tuple[int, int], shortest_edge: int) -> tuple[int, int]:
    """Width and height after the shorter side was resized."""
    width, height = size
    longer = int(shortest_edge * max(width, height) / min(width, height))
    return (longer, shortest_edge) if width > height else (shortest_edge, longer)


def shrunk(
    picture: Image.Image, shortest_edge: int, side: int, resample: Image.Resampling
) -> tuple[Image.Image, bool]:
    """Makes a picture smaller as far as that is as exact as resizing.

    Returns:
        The picture, and whether it is the square that the model reads already.
    """
    # What no JPEG decoder has made smaller: averaging whole blocks first is as exact.
    if (factor := min(picture.size) // (_DECODE_AT_LEAST * shortest_edge)) > 1:
        picture = picture.reduce(factor)
    wide, high = resized_to(picture.size, shortest_edge)
    if resample in IN_TORCH and max(wide, high) <= _LONGEST_IN_TORCH * shortest_edge:
        return picture, False
    # Resizing only the part that is kept gives the same pixels, and keeps a picture of
    # 30,000 x 1 from becoming gigabytes.
    left, top = (wide - side) // 2, (high - side) // 2
    across, down = picture.width / wide, picture.height / high
    box = (left * across, top * down, (left + side) * across, (top + side) * down)
    return picture.resize((side, side), resample, box=box), True


def shrink(data: bytes, limits: ImageLimits, options: Facts) -> Answer:
    """Decodes a file and makes it smaller.

    Args:
        data: The file.
        limits: Bounds it must keep.
        options: "shortest_edge", "side" and "resample" of the model's recipe.

    Returns:
        "size" as (width, height), and whether that is the "square" already; the pixels, RGB.

    Raises:
        RefusedImage: The file cannot be used.
    """
    edge = options["shortest_edge"]
    picture = read(data, limits, at_least=_DECODE_AT_LEAST * edge).picture
    resample = Image.Resampling(options["resample"])
    picture, is_square = shrunk(picture, edge, options["side"], resample)
    return Answer({"size": picture.size, "square": is_square}, [picture.tobytes()])
