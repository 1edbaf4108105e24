"""What a camera or an editor wrote into an image itself: EXIF, IPTC, XMP."""

import io
from typing import Any

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

from imagesearch_ingest import sidecars
from imagesearch_ingest.items import Facts

_FORMATS = ("JPEG", "TIFF", "WEBP", "PNG")

_IPTC_CAPTION = (2, 120)
_IPTC_KEYWORDS = (2, 25)

_MARKS = (b"Exif\0\0", b"http://ns.adobe.com/xap/", b"Photoshop 3.0", b"EXIF", b"eXIf", b"XMP")
_HEAD_BYTES = 256 * 1024


def read(content: bytes) -> Facts:
    """Reads the metadata in an image's header; no pixel is decoded.

    Make, model and position become attributes ("camera_make", "camera_model", "gps_latitude",
    "gps_longitude", degrees), IPTC and XMP keywords tags, their description the caption. The
    time of the picture is left to the gateway. An image that makes no sense says nothing here.
    """
    head = content[:_HEAD_BYTES]
    tiff = content[:4] in (b"II*\0", b"MM\0*")
    if not tiff and not any(mark in head for mark in _MARKS):
        return Facts()  # nothing to find: opening it would cost ten times as much
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            camera = _camera(image.getexif())
            iptc = _iptc(image)
            packet = image.info.get("xmp") or b""
    except Exception:  # Pillow's plugins raise all kinds of things on broken files
        return Facts()
    xmp = sidecars.xmp(packet.rstrip(b"\0") if isinstance(packet, bytes) else packet.encode())
    return xmp.over(iptc).over(Facts(attributes=camera))


def _camera(exif: Image.Exif) -> dict[str, str]:
    found = {
        "camera_make": _clean(exif.get(ExifTags.Base.Make)),
        "camera_model": _clean(exif.get(ExifTags.Base.Model)),
    }
    gps: dict[int, Any] = exif.get_ifd(ExifTags.IFD.GPSInfo)
    for name, value, ref in (
        ("gps_latitude", ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef),
        ("gps_longitude", ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef),
    ):
        found[name] = _degrees(gps.get(value), gps.get(ref))
    return {name: text for name, text in found.items() if text}


def _degrees(parts: Any, ref: Any) -> str:
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError):
        return ""
    value = degrees + minutes / 60 + seconds / 3600
    if not 0 <= value <= 180:  # also false for what is not a number
        return ""
    return f"{-value if str(ref).upper() in {'S', 'W'} else value:.6f}"


def _iptc(image: ImageFile.ImageFile) -> Facts:
    info: Any = IptcImagePlugin.getiptcinfo(image) or {}
    caption, keywords = info.get(_IPTC_CAPTION), info.get(_IPTC_KEYWORDS, [])
    several = keywords if isinstance(keywords, list) else [keywords]
    tags = tuple(text for each in several if (text := _clean(each)))
    return Facts(caption=_clean(caption), tags=tags)


def _clean(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 \t\r\n").encode(errors="replace").decode()
