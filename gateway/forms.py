"""Other forms of a picture, to find versions by that look unlike it to a model or a hash. Pure."""

import io

import imagehash
from PIL import Image

_QUALITY = 92
_PART = 0.6
_SHRUNK = 0.5
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
    """The perceptual hashes of a picture, turned by quarters and mirrored: 8, 16 hex digits each.

    The first is that of the picture as it is.
    """
    found = []
    for side in (picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        found.append(str(imagehash.phash(side)))
        found += [str(imagehash.phash(side.transpose(turn))) for turn in _TURNS]
    return found


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
