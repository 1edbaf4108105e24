"""Which names and which bytes are taken for images."""

_NAMES = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic")

SUFFIXES = frozenset(f".{name}" for name in (*_NAMES, "heif"))
"""Names taken for images; everything else is passed over."""

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz", ".7z", ".rar")

MAX_IMAGE_BYTES = 20 * 1024 * 1024

_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
)


def suffix(name: str) -> str:
    """The last suffix of a name, lower case, with its dot."""
    dot = name.rfind(".")  # not posixpath.splitext: a scan of a folder calls this most
    return name[dot:].lower() if dot > name.rfind("/") + 1 else ""


def is_image(name: str) -> bool:
    """Whether a name is that of an image."""
    return suffix(name) in SUFFIXES


def is_archive(name: str) -> bool:
    """Whether a name is that of an archive."""
    return name.lower().endswith(ARCHIVES)


def too_large(size: int) -> str:
    """Why so many bytes are refused; "" if they are not."""
    if size > MAX_IMAGE_BYTES:
        return f"has {size} bytes; at most {MAX_IMAGE_BYTES} are allowed"
    return ""


def looks_like_image(content: bytes) -> bool:
    """Whether bytes begin as an image of a known format does. The gateway looks at the rest."""
    return (
        content.startswith(_STARTS)
        or (content[:4] == b"RIFF" and content[8:12] == b"WEBP")
        or content[4:8] == b"ftyp"
    )
