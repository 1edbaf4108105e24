"""Encoded bytes to an upright RGB picture: formats, limits, orientation, colour.

Knows nothing of services, so that the processes which decode strangers' files load nothing else.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from PIL import (
    AvifImagePlugin,
    ExifTags,
    Image,
    ImageCms,
    ImageOps,
    TiffImagePlugin,
    UnidentifiedImageError,
)

try:  # HEIC where the plugin is installed
    import pi_heif

    pi_heif.register_heif_opener()
    pi_heif.options.DECODE_THREADS = 1
    _HEIF = ["HEIF"]
except ImportError:
    _HEIF = []

# As many images are decoded at a time as there are cores: threads within one would only wait.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", *_HEIF)
"""Pillow's names of the formats that are read. Nothing else is even tried.

JPEG stands for MPO too: several JPEGs in a file, of which the first is taken.
"""

# Our own bound is checked instead, and settable.
Image.MAX_IMAGE_PIXELS = None

TOO_COSTLY = "IMAGE_TOO_COSTLY"
UNDECODABLE = "IMAGE_UNDECODABLE"

_TURNED = {5, 6, 7, 8}  # EXIF orientations that exchange width and height

_SRGB = ImageCms.createProfile("sRGB")


class RefusedImage(Exception):
    """The bytes cannot be used as an image.

    Args:
        what: What is wrong, for the caller.
        reason: Stable reason, e.g. "IMAGE_UNDECODABLE".
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason


@dataclass(frozen=True)
class ImageLimits:
    """Bounds on what is decoded. They are checked on the header, before any pixel is read."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_side: int = 32_768


@dataclass(frozen=True)
class DecodedImage:
    """An upright picture.

    Attributes:
        picture: RGB, 8 bits a channel, without metadata. May be smaller than the original: see
            `read`.
        width: Of the original in pixels, after EXIF orientation.
        height: Of the original in pixels, after EXIF orientation.
        format: Encoding, e.g. "JPEG".
        captured_at: From EXIF; None where it is not said.
        orientation: From EXIF, 1 to 8; the picture has been turned by it.
    """

    picture: Image.Image
    width: int
    height: int
    format: str
    captured_at: datetime | None
    orientation: int


def read(data: bytes, limits: ImageLimits, at_least: int | None = None) -> DecodedImage:
    """Reads an encoded image.

    EXIF orientation and embedded colour profiles are applied. Transparent parts
    become white. Of an animation the first frame is taken. A truncated file is refused.

    Args:
        data: The file.
        limits: Bounds it must keep.
        at_least: Where given, a large JPEG may be decoded at 1/2, 1/4 or 1/8 of its
            size, as long as its shorter side keeps this many pixels.

    Raises:
        RefusedImage: The bytes are empty, too many, of no known format, or broken, or
            the image has too many pixels.
    """
    with _opened(data, limits) as image:
        return _read(image, at_least)


def measure(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Reads width and height, after EXIF orientation, without the pixels.

    Raises:
        RefusedImage: See `read`; but what is broken behind the header is not noticed.
    """
    with _opened(data, limits) as image:
        width, height = image.size
        turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
        if (
            isinstance(image, TiffImagePlugin.TiffImageFile)
            and ExifTags.Base.Orientation in image.tag_v2
        ):
            turned = False  # its size is told as it will be when it is loaded
        return (height, width) if turned else (width, height)


@contextmanager
def _opened(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    """Reads the header, and refuses what goes wrong in the block."""
    check_length(data, limits)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.size, limits)
            yield image
    except RefusedImage:
        raise
    except UnidentifiedImageError as error:
        raise RefusedImage(
            f"is no image of a known format ({', '.join(FORMATS)})", "IMAGE_FORMAT_UNKNOWN"
        ) from error
    except MemoryError as error:
        raise RefusedImage("takes more memory than is allowed", TOO_COSTLY) from error
    except Exception as error:  # Pillow's plugins raise all kinds of things on broken files
        raise RefusedImage(f"cannot be decoded: {error}", UNDECODABLE) from error


def check_length(data: bytes, limits: ImageLimits) -> None:
    """Refuses what need not even be looked at.

    Raises:
        RefusedImage: The bytes are none, or too many.
    """
    if not data:
        raise RefusedImage("is empty", "IMAGE_EMPTY")
    if len(data) > limits.max_bytes:
        raise RefusedImage(
            f"has {len(data)} bytes; at most {limits.max_bytes} are allowed", "IMAGE_TOO_LARGE"
        )


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise RefusedImage(
            f"has {width} x {height} pixels; at most {limits.max_pixels} in all and "
            f"{limits.max_side} a side are allowed",
            "IMAGE_TOO_LARGE",
        )


def _read(image: Image.Image, at_least: int | None) -> DecodedImage:
    width, height = image.size
    fmt = "JPEG" if image.format == "MPO" else image.format or ""
    exif = image.getexif()
    if at_least is not None and fmt == "JPEG" and image.mode in {"RGB", "L", "YCbCr"}:
        image.draft(None, (at_least, at_least))
    image.load()
    if fmt == "TIFF":
        width, height = image.size  # loading has turned it, as XMP alone may have said
    orientation = exif.get(ExifTags.Base.Orientation, 1)  # 1 where loading has turned it (TIFF)
    if orientation in _TURNED:
        width, height = height, width
    # Asked for nothing, `exif_transpose` copies all pixels.
    picture = _to_rgb(image if orientation == 1 else ImageOps.exif_transpose(image))
    picture.info.clear()  # or a comment would be saved along with whatever is made of it
    known = orientation if orientation in range(1, 9) else 1
    return DecodedImage(picture, width, height, fmt, _captured_at(exif), known)


def _to_rgb(image: Image.Image) -> Image.Image:
    image = _to_8_bit(image)
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode in {"RGBA", "LA", "PA"} else None
    image = _to_srgb(image)
    if alpha is None:
        return image
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=alpha)
    return paper


def _to_8_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.uint16)
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode in {"I", "F"}:
        wide = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
        low, high = float(wide.min()), float(wide.max())
        if image.mode == "I" and low >= 0 and high <= 65_535:
            low, high = 0.0, 65_535.0  # 16-bit grey in a wider mode
        scaled = (wide - low) / (high - low) * 255 if high > low else wide * 0
        return Image.fromarray(scaled.astype(np.uint8))
    return image


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile and image.mode in {"RGB", "CMYK", "L"}:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile says nothing: take the values as they are
    return image.convert("RGB")


def _captured_at(exif: Image.Exif) -> datetime | None:
    details = exif.get_ifd(ExifTags.IFD.Exif)
    text = details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    try:
        taken = datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    return taken.replace(tzinfo=_offset(details.get(ExifTags.Base.OffsetTimeOriginal)))


def _offset(text: object) -> timezone:
    try:
        sign = -1 if str(text).startswith("-") else 1
        hours, minutes = str(text).strip("+-\0 ").split(":")
        return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))
    except ValueError:
        return UTC  # EXIF without an offset is local time of an unknown place
