"""Pixels are counted by the header, and never fewer than the decoder would take."""

import io
import random
import struct
import warnings
import zlib

import pytest
from PIL import Image

from image_kit.headers import pixels_of
from image_kit.reading import FORMATS
from tests.helpers import encoded

MOST = 64_000_000
SIZE = (320, 124)
SAMPLES = {
    **{fmt: encoded(Image.new("RGB", SIZE, "red"), fmt) for fmt in FORMATS},
    "GIF87a": b"GIF87a" + encoded(Image.new("P", SIZE), "GIF")[6:],
    "JPEG of many segments": encoded(
        Image.new("RGB", SIZE), "JPEG", progressive=True, icc_profile=bytes(200_000)
    ),
    "PNG with a profile": encoded(Image.new("RGBA", SIZE), "PNG", icc_profile=bytes(9000)),
    "WebP, lossless": encoded(Image.new("RGB", SIZE), "WEBP", lossless=True),
    "WebP, extended": encoded(Image.new("RGBA", SIZE), "WEBP", icc_profile=bytes(100)),
    "TIFF, large": encoded(Image.new("RGB", SIZE), "TIFF", big_tiff=True),
}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def a_png(*headers: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(headers) + chunk(b"IDAT", zlib.compress(bytes(100)))


def a_gif(screen: tuple[int, int], frame: tuple[int, int, int, int], before: bytes = b"") -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", *screen, 0, 0, 0)
        + before
        + b","
        + struct.pack("<4HB", *frame, 0)
        + b"\x02\x02\x4c\x01\x00;"
    )


def decoder_says(data: bytes) -> int:
    """The pixels that Pillow would decode; 0: none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return image.width * image.height
        except Exception:
            return 0


@pytest.mark.parametrize("name", SAMPLES)
def test_ordinary_files_count_as_they_are(name: str) -> None:
    assert pixels_of(SAMPLES[name], MOST) == SIZE[0] * SIZE[1]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_either_byte_order(order: str) -> None:
    entries = [(256, 3, 1, 300), (257, 4, 1, 200)]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    data = mark + struct.pack(order + "LH", 8, len(entries))
    for tag, kind, count, value in entries:
        value_format = "HH" if kind == 3 else "L"
        values = (value, 0) if kind == 3 else (value,)
        data += struct.pack(f"{order}HHL{value_format}", tag, kind, count, *values)

    assert pixels_of(data + bytes(4), MOST) == 60_000


@pytest.mark.parametrize("height", [100, -100])
def test_a_bmp_of_either_direction_and_an_old_one(height: int) -> None:
    new = b"BM" + bytes(12) + struct.pack("<Iii", 40, 200, height) + bytes(28)
    old = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 200, 100, 1, 24)

    assert pixels_of(new, MOST) == pixels_of(old, MOST) == 20_000


@pytest.mark.parametrize(
    "data",
    [
        a_png(png_header(1, 1), png_header(8000, 8000)),
        a_png(png_header(8000, 8000), png_header(1, 1)),
        a_gif((1, 1), (0, 0, 8000, 8000)),
        a_gif((1, 1), (7999, 7999, 1, 1)),
        # Pillow takes what follows an empty extension for a part of it.
        a_gif((1, 1), (0, 0, 8000, 8000), b"!\xf9\0" + a_gif((1, 1), (0, 0, 1, 1))[13:]),
        b"\xff\xd8\xff\xf0\0\x0b\xff\xc0\0\x0b\x08" + struct.pack(">HH", 8000, 8000),
    ],
    ids=["last header", "first header", "frame", "offset", "empty extension", "no segment"],
)
def test_a_file_that_hides_its_size_counts_by_it(data: bytes) -> None:
    assert pixels_of(data, MOST) == MOST


def test_what_begins_like_two_formats_counts_by_the_larger() -> None:
    bmp = b"BM\0\0\0\0\0\0WEBPVP8 " + bytes(200)
    bmp = bmp[:14] + struct.pack("<Iii", 40, 8000, 8000) + bmp[26:]

    assert pixels_of(bmp, MOST) == MOST


def test_an_image_larger_than_is_allowed_counts_as_one_that_is() -> None:
    assert pixels_of(a_png(png_header(100_000, 100_000)), MOST) == MOST


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 100, b"<svg width='9999' height='9999'/>"])
def test_what_is_no_image_counts_nothing(data: bytes) -> None:
    assert pixels_of(data, MOST) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xe1\0\x02" * 1_000_000,
        b"\xff\xd8" + b"\xff" * 1_000_000,
        a_png(png_header(1, 1), chunk(b"tEXt", b"") * 100_000),
        a_gif((1, 1), (0, 0, 1, 1), b"!\xfe\x01a\0" * 100_000),
        a_gif((1, 1), (0, 0, 1, 1), b"!\xfe" + b"\x01a" * 100_000 + b"\0"),
        a_gif((1, 1), (0, 0, 1, 1), (b"!\xfe" + b"\x01a" * 400 + b"\0") * 400),
        struct.pack(">I4s", 8, b"ftyp") * 100_000,
        struct.pack(">I4s", 8, b"ftyp")
        + struct.pack(">I4s", 200_008, b"meta" + bytes(200_000)) * 9,
        b"\0\0\0\x10ftypavif\0\0\0\0" + struct.pack(">I4s", 0, b"meta") + b"ispe" * 60_000,
        b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65_535),
        b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + b"\xff" * 8 + bytes(1_000_000),
    ],
)
def test_an_endless_header_counts_as_the_largest_image(data: bytes) -> None:
    assert pixels_of(data, MOST) == MOST


# What reads HEIC crashes on some of these, which is why it is kept in processes of its own.
@pytest.mark.parametrize("name", sorted(SAMPLES.keys() - {"HEIF"}))
def test_no_damage_makes_it_count_fewer_than_the_decoder_takes(name: str) -> None:
    whole, randomly = SAMPLES[name], random.Random(name)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(randomly.randint(1, 4)):
            at = randomly.randrange(min(len(data), 400))
            match randomly.randrange(3):
                case 0:
                    data[at] = randomly.choice([0, 1, 0xFF, randomly.randrange(256)])
                case 1:
                    del data[at : at + randomly.randint(1, 8)]
                case _:
                    data[at:at] = data[randomly.randrange(len(data)) :][: randomly.randint(1, 40)]
        damaged = bytes(data)

        assert pixels_of(damaged, MOST) >= min(decoder_says(damaged), MOST), damaged[:500].hex()


def test_no_cut_is_too_short() -> None:
    for whole in SAMPLES.values():
        for length in range(0, min(len(whole), 300)):
            assert 0 <= pixels_of(whole[:length], MOST) <= MOST
