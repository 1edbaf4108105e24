"""Short names for what is said of an image, and for where it is."""

import hashlib

from imagesearch.gateway.v1 import image_search_service_pb2 as pb

_BYTES = 8


def said(upload: pb.ImageUpload) -> bytes:
    """Digest of all that an upload says, but for the image itself."""
    content, upload.content = upload.content, b""
    try:
        return _digest(upload.SerializeToString(deterministic=True))
    finally:
        upload.content = content


def place(relative_path: str, url: str, page_url: str) -> bytes:
    """Digest of where an image is: what makes a source of its document."""
    return _digest("\0".join((relative_path, url, page_url)).encode(errors="replace"))


def recipe(*parts: object) -> str:
    """Digest of how images are described: with another one, they are described anew."""
    return _digest(repr(parts).encode(errors="replace")).hex()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_BYTES).digest()
