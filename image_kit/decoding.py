"""Encoded bytes to an upright RGB picture: formats, limits, orientation, colour.

Both the embedder and the gateway read images by these rules, so that what one
accepts the other does.
"""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import grpc
import numpy as np
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from service_kit.errors import ServiceError

try:  # HEIC where the plugin is installed; it only reads, and is free of the encoder's GPL
    import pi_heif

    pi_heif.register_heif_opener()
    _HEIF = ["HEIF"]
except ImportError:
    _HEIF = []

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", *_HEIF)
"""Pillow's names of the formats that are read. Nothing else is even tried.

JPEG stands for MPO too: several JPEGs in a file, of which the first is taken.
"""

# Our own bound is checked instead, and settable.
Image.MAX_IMAGE_PIXELS = None

_SRGB = ImageCms.createProfile("sRGB")


class ImageError(ServiceError):
    """The bytes cannot be used as an image.

    Args:
        what: What is wrong, for the caller.
        reason: Stable reason, e.g. "IMAGE_UNDECODABLE".
        field: Path of the field the bytes came in.
    """

    code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, what: str, reason: str, field: str = "image") -> None:
        super().__init__(f"{field}: {what}")
        self.what = what
        self.reason = reason
        self.field = field

    def details(self) -> list[Message]:
        """Adds the violation of the field."""
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=self.field, description=self.what)
        return [*super().details(), bad]

    def at(self, field: str) -> "ImageError":
        """The same error, for bytes that came in another field."""
        return ImageError(self.what, self.reason, field)


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
        picture: RGB, 8 bits a channel. May be smaller than the original: see `decode`.
        width: Of the original in pixels, after EXIF orientation.
        height: Of the original in pixels, after EXIF orientation.
        format: Encoding, e.g. "JPEG".
        captured_at: From EXIF; None where it is not said.
    """

    picture: Image.Image
    width: int
    height: int
    format: str
    captured_at: datetime | None


def decode(data: bytes, limits: ImageLimits, at_least: int | None = None) -> DecodedImage:
    """Reads an encoded image.

    EXIF orientation and embedded colour profiles are applied. Transparent parts
    become white. Of an animation the first frame is taken. A truncated file is refused.

    Args:
        data: The file.
        limits: Bounds it must keep.
        at_least: Where given, a large JPEG may be decoded at 1/2, 1/4 or 1/8 of its
            size, as long as its shorter side keeps this many pixels.

    Raises:
        ImageError: The bytes are empty, too many, of no known format, or broken, or
            the image has too many pixels.
    """
    check_length(data, limits)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _read(image, limits, at_least)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"is no image of a known format ({', '.join(FORMATS)})", "IMAGE_FORMAT_UNKNOWN"
        ) from error
    except Exception as error:  # Pillow's plugins raise all kinds of things on broken files
        raise ImageError(f"cannot be decoded: {error}", "IMAGE_UNDECODABLE") from error


def check_length(data: bytes, limits: ImageLimits) -> None:
    """Refuses what need not even be looked at.

    Raises:
        ImageError: The bytes are none, or too many.
    """
    if not data:
        raise ImageError("is empty", "IMAGE_EMPTY")
    if len(data) > limits.max_bytes:
        raise ImageError(
            f"has {len(data)} bytes; at most {limits.max_bytes} are allowed", "IMAGE_TOO_LARGE"
        )


def _read(image: Image.Image, limits: ImageLimits, at_least: int | None) -> DecodedImage:
    width, height = image.size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise ImageError(
            f"has {width} x {height} pixels; at most {limits.max_pixels} in all and "
            f"{limits.max_side} a side are allowed",
            "IMAGE_TOO_LARGE",
        )
    fmt = "JPEG" if image.format == "MPO" else image.format or ""
    exif = image.getexif()
    if at_least is not None and fmt == "JPEG" and image.mode in {"RGB", "L", "YCbCr"}:
        image.draft(None, (at_least, at_least))
    image.load()
    if exif.get(ExifTags.Base.Orientation, 1) in {5, 6, 7, 8}:
        width, height = height, width
    picture = _to_rgb(ImageOps.exif_transpose(image))
    return DecodedImage(picture, width, height, fmt, _captured_at(exif))


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
