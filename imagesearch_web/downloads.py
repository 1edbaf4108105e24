"""Names of downloaded files that are safe wherever they are saved."""

import re
from urllib.parse import quote

_EXTENSIONS = {
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
    "image/bmp": (".bmp",),
    "image/tiff": (".tif", ".tiff"),
    "image/avif": (".avif",),
    "image/heif": (".heic", ".heif"),
}
_MOST = 120

# Separators and what systems forbid; controls, and marks that turn the direction of writing, which
# make "gpj.exe" out of "exe.jpg".
_UNSAFE = re.compile(
    r'[\x00-\x1f\x7f-\x9f"*/:<>?\\|\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]'
)


def file_name(name: str, media_type: str, otherwise: str) -> str:
    """Gives a name without a path, with an extension that says what the file is.

    Args:
        name: As the image was stored with; may be anything.
        media_type: What the file is.
        otherwise: Name without extension where nothing is left of `name`.
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = _UNSAFE.sub("_", last.encode("utf-8", "replace").decode()).strip(". ")[:_MOST]
    kept = kept or otherwise
    fitting = _EXTENSIONS.get(media_type, (".bin",))
    return kept if kept.lower().endswith(fitting) else kept + fitting[0]


def content_disposition(name: str) -> str:
    """Makes the header of a download (RFC 6266; the name in UTF-8 as RFC 8187 has it)."""
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    header = f'attachment; filename="{ascii_name}"'
    if ascii_name != name:
        header += f"; filename*=UTF-8''{quote(name, safe='')}"
    return header
