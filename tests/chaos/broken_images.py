"""Files that image decoders have trouble with: mutated ones by seed, and odd ones by name."""

import functools
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms
from skimage import data as photos

from image_kit import reading
from tests.helpers import encoded


@functools.cache
def originals() -> dict[str, bytes]:
    """One sound file of every format and kind."""
    photo = Image.fromarray(photos.astronaut()).resize((160, 120))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    turned = photo.rotate(180)
    film: dict[str, Any] = {"save_all": True, "append_images": [turned, photo]}
    deep = Image.fromarray(np.arange(160 * 120, dtype=np.uint16).reshape(120, 160))
    found = {
        "jpeg": encoded(photo, "JPEG", exif=exif, icc_profile=profile),
        "progressive jpeg": encoded(photo, "JPEG", progressive=True),
        "cmyk jpeg": encoded(photo.convert("CMYK"), "JPEG", icc_profile=profile),
        "grey jpeg": encoded(photo.convert("L"), "JPEG"),
        "mpo": encoded(photo, "MPO", **film),
        "png": encoded(photo, "PNG", exif=exif, icc_profile=profile),
        "animated png": encoded(photo, "PNG", **film),
        "palette png": encoded(photo.quantize(32), "PNG", transparency=3),
        "16-bit png": encoded(deep, "PNG"),
        "rgba png": encoded(photo.convert("RGBA"), "PNG"),
        "gif": encoded(photo, "GIF"),
        "animated gif": encoded(photo, "GIF", **film),
        "bmp": encoded(photo, "BMP"),
        "webp": encoded(photo, "WEBP", exif=exif),
        "lossless webp": encoded(photo, "WEBP", lossless=True),
        "animated webp": encoded(photo, "WEBP", **film),
        "tiff": encoded(photo, "TIFF", exif=exif),
        "lzw tiff": encoded(photo, "TIFF", compression="tiff_lzw"),
        "jpeg tiff": encoded(photo, "TIFF", compression="jpeg"),
        "16-bit tiff": encoded(deep, "TIFF"),
        "float tiff": encoded(deep.convert("F"), "TIFF"),
    }
    for fmt in ("AVIF", "HEIF"):
        if fmt in reading.FORMATS:
            found[fmt.lower()] = encoded(photo, fmt)
    return found


def mutated(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Files with some bytes changed, cut off, doubled or taken out; each has a name."""
    kinds = sorted(originals().items())
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        kind, data = kinds[number % len(kinds)]
        yield f"{kind} #{number}", damaged(data, chance)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A file with some bytes changed, cut off, doubled or taken out."""
    broken = bytearray(data)
    for _ in range(chance.randint(1, 12)):
        # Most often in the header, where one byte changes the most.
        at = chance.randrange(min(len(broken), chance.choice([32, 256, 1024, len(broken)])))
        match chance.randrange(8):
            case 0:
                broken[at : at + 4] = chance.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
            case 1:
                del broken[at : at + chance.randint(1, 64)]
            case 2:
                broken[at:at] = broken[at : at + chance.randint(1, 512)]
            case _:
                broken[at] = chance.randrange(256)
        if len(broken) < 16:
            break
    if chance.random() < 0.15:
        del broken[chance.randrange(len(broken)) :]
    return bytes(broken)


def odd() -> dict[str, bytes]:
    """Files that are made to cost much, or to be taken for what they are not."""
    jpeg, png = originals()["jpeg"], originals()["png"]
    black = zlib.compress(b"\0" * 200_000)
    bomb = zlib.compress(b"\0" * 100_000_000)
    return {
        "no pixels": _png((0, 0), black),
        "no width": _png((0, 10), black),
        "huge": _png((2**31 - 1, 2**31 - 1), black),
        "beyond the bound of pixels": _png((20_000, 20_000), black),
        "beyond the bound of a side": _png((40_000, 1), black),
        "too few pixels": _png((4000, 4000), black),
        "nearly sixteen million pixels": encoded(Image.new("RGB", (4000, 3990)), "PNG"),
        "one pixel": encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
        "very wide": encoded(Image.new("RGB", (30_000, 1), "red"), "PNG"),
        "very high": encoded(Image.new("RGB", (1, 30_000), "red"), "JPEG"),
        "broken profile": encoded(Image.new("RGB", (9, 9)), "PNG", icc_profile=b"\xff" * 5000),
        "bomb of a profile": _png((8, 8), black, (b"iCCP", b"a\0\0" + bomb)),
        "bomb of text": _png((8, 8), black, (b"zTXt", b"a\0\0" + bomb)),
        "bomb of many texts": _png((8, 8), black, *[(b"zTXt", b"a\0\0" + bomb[:90_000])] * 50),
        "huge text": _png((8, 8), black, (b"tEXt", b"a\0" + b"b" * 5_000_000)),
        "huge exif": _with_segments(jpeg, [b"\xff\xe1" + b"Exif\0\0" + b"M" * 65_000] * 100),
        "thousands of scans": _many_scans(),
        "tiff whose directories never end": _looping_tiff(),
        "tiff of one huge strip": _tiff_of_strips(2**31 - 1),
        "tiff of a million strips": _tiff_of_strips(1_000_000),
        "jpeg and then a page": jpeg + b"<html><script>alert(1)</script></html>" * 100,
        "png and then an archive": png + b"PK\x03\x04" + b"\0" * 1000,
        "gif that is a script": b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)",
        "jpeg within a png": png[:60] + jpeg + png[60:],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nwhile(1){}",
        "half a picture": jpeg[: len(jpeg) // 2],
        "nothing but a signature": png[:8],
    }


def _png(size: tuple[int, int], pixels: bytes, *more: tuple[bytes, bytes]) -> bytes:
    head = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), *more, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _with_segments(jpeg: bytes, segments: list[bytes]) -> bytes:
    sized = [part[:2] + struct.pack(">H", len(part)) + part[2:] for part in segments]
    return jpeg[:2] + b"".join(sized) + jpeg[2:]


def _many_scans() -> bytes:
    """A progressive JPEG of 3900 x 3900 pixels, one of whose scans comes two thousand times."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG", progressive=True)
    frame = data.index(b"\xff\xc2")
    large = data[: frame + 5] + struct.pack(">HH", 3900, 3900) + data[frame + 9 :]
    first = large.index(b"\xff\xda")
    second = large.index(b"\xff\xda", first + 2)
    third = large.index(b"\xff\xda", second + 2)
    return large[:third] + large[second:third] * 2000 + large[third:]


def _looping_tiff() -> bytes:
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)  # the EXIF directory is this one itself
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 8)


def _tiff_of_strips(strips: int) -> bytes:
    """A TIFF that says where its strips are, but does not have them."""
    entries = [
        *((256, 4, 1, 5000), (257, 4, 1, 5000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, strips, 200), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, strips, 200)),
    ]
    body = struct.pack("<H", len(entries))
    for entry in entries:
        body += struct.pack("<HHII", *entry)
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", 8) + bytes(5_000_000)
