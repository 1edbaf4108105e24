"""Other forms of a picture, to find versions by that look unlike it to a model or a hash. Pure."""

import io

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_QUALITY = 92
_PART = 0.6
_SHRUNK = 0.5
# A row is of a frame if its values vary no more than compression makes them, ...
_PLAIN = 6.0
# ... and on average differ no more from those of the outermost row.
_SAME = 10.0
# Of the width or height: thinner is no frame, and of a thicker one too little is left.
_THINNEST, _THICKEST = 0.02, 0.4
# Rows within a frame that scaling and compression may have mixed with it.
_MIXED = 2

_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


def encoded_forms(picture: Image.Image) -> list[bytes]:
    """What other versions of a picture may look like, as JPEG.

    Mirrored; turned by 90, 180 and 270 degrees; its middle and its four corners; grey; as a part
    of something larger.

    Args:
        picture: RGB, at most some hundred pixels a side.
    """
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned = [picture.transpose(turn) for turn in _TURNS]
    grey = picture.convert("L").convert("RGB")
    return [_jpeg(each) for each in (mirrored, *turned, *_parts(picture), grey, _framed(picture))]


def hashes(picture: Image.Image) -> list[str]:
    """The perceptual hashes of a picture, 16 hex digits each.

    As it is, turned by quarters, and all that mirrored; and without its frame, if it has one.
    """
    found = []
    for side in (picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        found.append(str(imagehash.phash(side)))
        found += [str(imagehash.phash(side.transpose(turn))) for turn in _TURNS]
    return found + unframed_hashes(picture)


def unframed_hashes(picture: Image.Image) -> list[str]:
    """The perceptual hashes of what is within a plain frame; none if there is no frame.

    Two: with the rows that scaling and compression may have mixed with the frame, and without.
    """
    if (inner := unframed(picture)) is None:
        return []
    mixed = unframed(picture, _MIXED) or inner
    return list(dict.fromkeys(str(imagehash.phash(each)) for each in (inner, mixed)))


def unframed(picture: Image.Image, mixed: int = 0) -> Image.Image | None:
    """What is within a plain frame, or between plain bars; None if there is neither.

    Args:
        picture: RGB.
        mixed: So many rows more are cut off beside each part of the frame.
    """
    values = np.asarray(picture, np.float32)
    depths = (*_margins(values.swapaxes(0, 1)), *_margins(values))
    if not any(depths):
        return None
    left, right, top, bottom = (depth + mixed if depth else 0 for depth in depths)
    width, height = picture.size
    return picture.crop((left, top, width - right, height - bottom))


def _margins(values: NDArray[np.float32]) -> tuple[int, int]:
    """How many of the first and the last rows are plain and of one colour: (rows, columns, 3)."""
    means = values.mean(axis=1)
    plain = values.std(axis=1).max(axis=1) < _PLAIN
    margins = []
    for rows, mean in ((plain, means), (plain[::-1], means[::-1])):
        other = ~rows | (np.abs(mean - mean[0]).max(axis=1) > _SAME)
        depth = int(other.argmax()) if other.any() else 0
        share = depth / len(values)
        margins.append(depth if _THINNEST <= share <= _THICKEST else 0)
    return margins[0], margins[1]


def _parts(picture: Image.Image) -> list[Image.Image]:
    width, height = picture.size
    wide, high = max(1, round(_PART * width)), max(1, round(_PART * height))
    right, lower = width - wide, height - high
    corners = [(0, 0), (right, 0), (0, lower), (right, lower), (right // 2, lower // 2)]
    return [picture.crop((left, top, left + wide, top + high)) for left, top in corners]


def _framed(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    small = picture.resize((max(1, round(_SHRUNK * width)), max(1, round(_SHRUNK * height))))
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return ground


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
