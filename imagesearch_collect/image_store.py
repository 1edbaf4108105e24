"""Originals in a folder, each under the digest of its bytes, and so each once."""

import os
import threading
from hashlib import sha256
from pathlib import Path

_SUFFIXES = {"JPEG": "jpg", "TIFF": "tif", "HEIF": "heic"}


class ImageStore:
    """Files `images/ab/cd/<sha256>.<ext>` of a collection. May be used from many threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._naming = threading.Lock()

    def put(self, data: bytes, fmt: str) -> tuple[str, str, bool]:
        """Stores an image, on the disk, unless it is there.

        Args:
            data: The file.
            fmt: Its encoding, as Pillow names it.

        Returns:
            Its path relative to the collection, its SHA-256 in hex, and whether it is new.
        """
        digest = sha256(data).hexdigest()
        suffix = _SUFFIXES.get(fmt, fmt.lower())
        path = f"images/{digest[:2]}/{digest[2:4]}/{digest}.{suffix}"
        target = self._folder / path
        if self.holds(path, len(data)):
            return path, digest, False
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}.{os.urandom(4).hex()}.tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._naming:  # of two that store the same at once, one finds it there
                new = not self.holds(path, len(data))
                if new:
                    os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
        return path, digest, new

    def holds(self, path: str, size: int) -> bool:
        """Whether a file is there, whole."""
        try:
            return (self._folder / path).stat().st_size == size
        except OSError:
            return False

    def remove_unfinished(self) -> None:
        """Removes what a kill left half written."""
        for file in self._folder.glob("images/*/*/*.tmp"):
            file.unlink(missing_ok=True)
