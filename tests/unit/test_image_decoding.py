"""image_kit.decoding: every kind of file that people have, and every way it can be broken."""

import io
import random
import struct
import warnings
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, features
from skimage import data as photos

from image_kit import decoding, reading
from image_kit.decoding import ImageError, ImageLimits, decode

LIMITS = ImageLimits()

# Where Pillow would warn of a file, the service logs; here the outcome is what matters.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def drawing() -> Image.Image:
    """Four quarters (red, green / blue, white), so that any turn or swapped channel shows."""
    image = Image.new("RGB", (48, 32), "white")
    image.paste("red", (0, 0, 24, 16))
    image.paste("lime", (24, 0, 48, 16))
    image.paste("blue", (0, 16, 24, 32))
    return image


def encoded(image: Image.Image, fmt: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Colours at the middle of the four quarters."""
    width, height = image.size
    pixels = np.asarray(image)
    return [
        tuple(int(v) for v in pixels[int(height * y), int(width * x)])
        for y in (0.25, 0.75)
        for x in (0.25, 0.75)
    ]


def assert_is_the_drawing(image: Image.Image, tolerance: int = 0) -> None:
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]

    assert image.mode == "RGB"
    assert np.abs(np.subtract(corners(image), expected)).max() <= tolerance


def error_of(data: bytes, limits: ImageLimits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, limits)
    return caught.value


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_comes_out_upright(orientation: int, fmt: str) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = drawing().transpose(undo[orientation]) if orientation in undo else drawing()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation

    decoded = decode(encoded(stored, fmt, exif=exif, quality=95), LIMITS)

    assert (decoded.width, decoded.height) == (48, 32)
    assert decoded.picture.size == (48, 32)
    assert decoded.picture.info == {}
    assert decoded.format == fmt
    assert reading.measure(encoded(stored, fmt, exif=exif, quality=95), LIMITS) == (48, 32)
    assert_is_the_drawing(decoded.picture, tolerance=40 if fmt in {"JPEG", "WEBP"} else 0)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_tiff_that_only_xmp_turns_has_the_size_of_its_picture(orientation: int) -> None:
    xmp = b'<x:xmpmeta tiff:Orientation="%d"/>' % orientation
    data = encoded(drawing(), "TIFF", tiffinfo={700: xmp})

    decoded = decode(data, LIMITS)

    size = (32, 48) if orientation == 6 else (48, 32)
    assert (decoded.width, decoded.height) == decoded.picture.size == size
    assert reading.measure(data, LIMITS) == size


LOSSLESS: dict[str, bytes] = {
    "png": encoded(drawing(), "PNG"),
    "bmp": encoded(drawing(), "BMP"),
    "gif": encoded(drawing(), "GIF"),
    "tiff": encoded(drawing(), "TIFF"),
    "tiff, lzw": encoded(drawing(), "TIFF", compression="tiff_lzw"),
    "webp": encoded(drawing(), "WEBP", lossless=True),
    "palette": encoded(drawing().quantize(8), "PNG"),
    "rgba": encoded(drawing().convert("RGBA"), "PNG"),
    "animated gif": encoded(
        drawing(), "GIF", save_all=True, append_images=[Image.new("RGB", (48, 32), "black")]
    ),
    "animated webp": encoded(
        drawing(),
        "WEBP",
        save_all=True,
        append_images=[Image.new("RGB", (48, 32), "black")],
        lossless=True,
    ),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_lossless_file_gives_its_own_pixels(kind: str) -> None:
    assert_is_the_drawing(decode(LOSSLESS[kind], LIMITS).picture)


@pytest.mark.parametrize("fmt", ["AVIF", "HEIF"])
def test_modern_formats_are_read(fmt: str) -> None:
    if fmt not in decoding.FORMATS or (fmt == "AVIF" and not features.check("avif")):
        pytest.skip(f"no {fmt} here")

    decoded = decode(encoded(drawing(), fmt, quality=95), LIMITS)

    assert decoded.format == fmt
    assert_is_the_drawing(decoded.picture, tolerance=60)


def test_of_a_stereo_picture_the_first_one_is_taken() -> None:
    both = encoded(drawing(), "MPO", save_all=True, append_images=[drawing().rotate(180)])

    decoded = decode(both, LIMITS)

    assert decoded.format == "JPEG"
    assert_is_the_drawing(decoded.picture, tolerance=60)


def test_what_is_transparent_becomes_white() -> None:
    image = drawing().convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 24, 16))
    alpha.paste(128, (24, 0, 48, 16))
    image.putalpha(alpha)

    red, green, *_ = corners(decode(encoded(image, "PNG"), LIMITS).picture)

    assert red == (255, 255, 255)
    assert np.abs(np.subtract(green, (127, 255, 127))).max() <= 1


def test_a_transparent_colour_of_a_palette_becomes_white() -> None:
    image = drawing().quantize(8)
    red = image.getpixel((2, 2))

    pixels = corners(decode(encoded(image, "PNG", transparency=red), LIMITS).picture)

    assert pixels[:2] == [(255, 255, 255), (0, 255, 0)]


def test_grey_with_transparency_is_laid_on_white() -> None:
    image = Image.new("LA", (8, 8), (100, 255))
    image.putpixel((0, 0), (100, 0))

    picture = decode(encoded(image, "PNG"), LIMITS).picture

    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((4, 4)) == (100, 100, 100)


def test_a_transparent_grey_value_becomes_white() -> None:
    image = Image.new("L", (8, 8), 100)
    image.putpixel((0, 0), 50)

    picture = decode(encoded(image, "PNG", transparency=50), LIMITS).picture

    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((4, 4)) == (100, 100, 100)


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (8, 8), 1)
    image.putpixel((0, 0), 0)

    picture = decode(encoded(image, "PNG"), LIMITS).picture

    assert picture.getpixel((0, 0)) == (0, 0, 0)
    assert picture.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_keep_their_brightness(fmt: str) -> None:
    values = np.linspace(0, 65_535, 256, dtype=np.uint16).reshape(16, 16)

    picture = decode(encoded(Image.fromarray(values), fmt), LIMITS).picture

    grey = np.asarray(picture)[..., 0].reshape(-1).astype(int)
    assert np.abs(grey - np.arange(256)).max() <= 1


def test_floating_point_tiff_is_stretched_to_what_can_be_seen() -> None:
    values = np.linspace(-3.0, 5.0, 64, dtype=np.float32).reshape(8, 8)

    grey = np.asarray(decode(encoded(Image.fromarray(values), "TIFF"), LIMITS).picture)[..., 0]

    assert (grey.min(), grey.max()) == (0, 255)


def test_printing_colours_become_what_is_seen() -> None:
    data = encoded(drawing().convert("CMYK"), "JPEG", quality=95)

    assert_is_the_drawing(decode(data, LIMITS).picture, tolerance=60)


def test_a_colour_profile_is_applied() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    same = decode(encoded(drawing(), "PNG", icc_profile=lab.tobytes()), LIMITS).picture
    swapped = decode(encoded(drawing(), "PNG", icc_profile=swapped_profile()), LIMITS).picture

    assert_is_the_drawing(same, tolerance=1)
    assert corners(swapped)[0] != (255, 0, 0)


def swapped_profile() -> bytes:
    """An sRGB profile whose red and blue primaries have changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("profile", [b"no profile at all", b"\0" * 200])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_broken_colour_profile_is_ignored(profile: bytes, mode: str) -> None:
    data = encoded(drawing().convert(mode), "JPEG", quality=95, icc_profile=profile)

    decode(data, LIMITS)


def test_a_profile_of_another_kind_of_colour_is_ignored() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

    decoded = decode(encoded(drawing(), "PNG", icc_profile=profile), LIMITS)

    assert_is_the_drawing(decoded.picture)


@pytest.mark.parametrize("fmt", ["JPEG", "GIF"])
def test_a_comment_does_not_travel_with_the_pixels(fmt: str) -> None:
    picture = decode(encoded(drawing(), fmt, comment=b"a secret"), LIMITS).picture

    assert b"a secret" not in encoded(picture, fmt)


def test_when_it_was_taken_comes_from_exif() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2001:01:01 00:00:00"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    without_zone = decode(encoded(drawing(), "JPEG", exif=exif), LIMITS)
    details[ExifTags.Base.OffsetTimeOriginal] = "+02:30"
    with_zone = decode(encoded(drawing(), "JPEG", exif=exif), LIMITS)

    assert without_zone.captured_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    zone = timezone(timedelta(hours=2, minutes=30))
    assert with_zone.captured_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=zone)
    assert decode(encoded(drawing(), "JPEG"), LIMITS).captured_at is None


@pytest.mark.parametrize(
    ("time", "offset"),
    [("0000:00:00 00:00:00", None), ("garbage", None), ("2024:05:06 07:08:09", "+99:99")],
)
def test_nonsense_in_exif_costs_nothing_but_itself(time: str, offset: str | None) -> None:
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = time
    if offset:
        details[ExifTags.Base.OffsetTimeOriginal] = offset
    exif[ExifTags.Base.Orientation] = 77

    decoded = decode(encoded(drawing(), "JPEG", exif=exif), LIMITS)

    assert_is_the_drawing(decoded.picture, tolerance=60)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff"])
def test_broken_exif_does_not_cost_the_picture(exif: bytes) -> None:
    decoded = decode(encoded(drawing(), "JPEG", exif=exif), LIMITS)

    assert_is_the_drawing(decoded.picture, tolerance=60)


def test_a_large_jpeg_may_be_decoded_smaller() -> None:
    photo = Image.fromarray(photos.astronaut()).resize((2000, 1500))

    decoded = decode(encoded(photo, "JPEG"), LIMITS, at_least=300)

    assert (decoded.width, decoded.height) == (2000, 1500)
    assert 300 <= min(decoded.picture.size) < 1500


def test_an_empty_file_is_refused() -> None:
    assert error_of(b"").reason == "IMAGE_EMPTY"


def test_too_many_bytes_are_refused() -> None:
    assert error_of(LOSSLESS["png"], ImageLimits(max_bytes=50)).reason == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize(
    "data",
    [
        b"this is text, whatever its name ends in",
        b"\0" * 1000,
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
        encoded(drawing(), "EPS"),
        encoded(drawing(), "PDF"),
        encoded(drawing(), "PPM"),
        encoded(drawing(), "ICO"),
        encoded(drawing(), "JPEG2000"),
        encoded(drawing(), "TGA"),
    ],
    ids=["text", "zeros", "svg", "pdf", "eps", "real pdf", "ppm", "ico", "jpeg2000", "tga"],
)
def test_what_is_no_known_image_is_refused(data: bytes) -> None:
    assert error_of(data).reason == "IMAGE_FORMAT_UNKNOWN"


@pytest.mark.parametrize("kind", ["png", "gif", "tiff", "bmp", "webp", "jpeg"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind.upper())

    assert error_of(data[: len(data) // 2]).reason in {"IMAGE_UNDECODABLE", "IMAGE_FORMAT_UNKNOWN"}


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)


def test_a_png_without_pixels_is_refused() -> None:
    assert error_of(png(header(8, 8), (b"IDAT", b""), (b"IEND", b""))).code.name == (
        "INVALID_ARGUMENT"
    )


@pytest.mark.parametrize(
    ("width", "height"), [(60_000, 60_000), (2**31 - 1, 1), (1, 40_000), (8_001, 8_001)]
)
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    pixels = zlib.compress(b"\0" * 100_000)

    assert error_of(png(header(width, height), (b"IDAT", pixels), (b"IEND", b""))).reason == (
        "IMAGE_TOO_LARGE"
    )


def test_a_bomb_of_text_is_refused() -> None:
    text = b"Comment\0\0" + zlib.compress(b"\0" * 200_000_000)
    pixels = zlib.compress(b"\0" * 1000)

    error = error_of(png(header(8, 8), (b"zTXt", text), (b"IDAT", pixels), (b"IEND", b"")))

    assert error.reason in {"IMAGE_UNDECODABLE", "IMAGE_FORMAT_UNKNOWN"}


def test_the_error_names_the_field() -> None:
    status = error_of(b"").at("inputs[3].image").to_status()

    assert status.message.startswith("inputs[3].image: ")
    assert len(status.details) == 2


def seeds() -> Iterator[tuple[str, bytes]]:
    photo = Image.fromarray(photos.astronaut()).resize((64, 48))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for fmt in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"):
        if fmt in decoding.FORMATS:
            options: dict[str, Any] = {} if fmt in {"GIF", "BMP"} else {"exif": exif}
            if fmt in {"JPEG", "PNG", "TIFF"}:
                options["icc_profile"] = profile
            yield fmt, encoded(photo, fmt, **options)
    yield "palette", encoded(photo.quantize(16), "PNG", transparency=3)
    yield "cmyk", encoded(photo.convert("CMYK"), "JPEG", icc_profile=profile)
    yield "lzw", encoded(photo, "TIFF", compression="tiff_lzw")
    yield "I;16", encoded(Image.fromarray(np.ones((9, 9), np.uint16)), "TIFF")


SEEDS = dict(seeds())


@pytest.mark.parametrize("kind", SEEDS)
def test_a_damaged_file_raises_nothing_but_image_errors(kind: str) -> None:
    data = SEEDS[kind]
    chance = random.Random(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(60):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 8)):
                at = chance.randrange(min(len(damaged), chance.choice([40, 400, len(damaged)])))
                damaged[at] = chance.randrange(256)
            if chance.random() < 0.2:
                del damaged[chance.randrange(len(damaged)) :]
            try:
                picture = decode(bytes(damaged), LIMITS).picture
            except ImageError:
                continue
            pixels: NDArray[np.uint8] = np.asarray(picture)
            assert pixels.ndim == 3
