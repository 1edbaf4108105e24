"""gateway.pictures: what is kept of an image."""

import io

import imagehash
import pytest
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from PIL import Image, features

from gateway.pictures import Pictures, content_type
from image_kit import reading
from image_kit.decoding import ImageLimits
from tests.helpers import a_picture

PICTURES = Pictures(ImageLimits())

_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
}


@pytest.mark.parametrize("fmt", _TYPES)
def test_the_media_type_is_told_by_the_first_bytes(fmt: str) -> None:
    if fmt not in {*reading.FORMATS, "MPO"} or (fmt == "AVIF" and not features.check("avif")):
        pytest.skip(f"no {fmt} here")

    assert content_type(a_picture(1, fmt=fmt)) == _TYPES[fmt]


def test_what_is_none_of_them_is_just_bytes() -> None:
    assert content_type(b"<svg/>") == "application/octet-stream"
    assert content_type(b"") == "application/octet-stream"


def test_the_hash_is_that_of_the_picture() -> None:
    data = a_picture(3, 400)

    with Image.open(io.BytesIO(data)) as picture:
        assert PICTURES.prepare(data).phash == str(imagehash.phash(picture.convert("RGB")))


def test_a_thumbnail_has_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret description"
    data = a_picture(3, 700, "JPEG", exif=exif, comment=b"a secret comment")

    thumbnail = PICTURES.prepare(data).thumbnail

    assert b"secret" in data
    assert b"secret" not in thumbnail


def test_a_region_is_cut_out_without_loss() -> None:
    region = queries_pb.Region()
    region.pixels.CopyFrom(queries_pb.PixelBox(left=10, top=20, width=30, height=5))
    data = a_picture(3, 100)

    cut = PICTURES.pixels(PICTURES.cut(data, region, "region"))

    assert (cut == PICTURES.pixels(data)[20:25, 10:40]).all()
