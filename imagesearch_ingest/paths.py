"""Paths that manifests and archives name: only those that stay where they belong are used."""

import os
import re
import stat
from pathlib import Path

from imagesearch_ingest.formats import MAX_IMAGE_BYTES, too_large
from imagesearch_ingest.items import RefusedError, UnreadableError

_DRIVE = re.compile(r"[A-Za-z]:")
_MOST_CHARACTERS = 4_096


def why_not(name: str) -> str:
    """Why a path from a manifest or an archive is not used; "" if it is."""
    if not name or len(name) > _MOST_CHARACTERS:
        return "its path is empty or too long"
    if "\0" in name:
        return "its path has a NUL in it"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "its path is absolute"
    if ".." in re.split(r"[/\\]", name):
        return "its path leads out with '..'"
    return ""


def read_within(root: Path, path: Path) -> bytes:
    """Reads a file that must be a regular one, below a folder even through links.

    Args:
        root: The folder, resolved.
        path: The file.

    Raises:
        RefusedError: It is elsewhere, of another kind, too large, or cannot be read.
    """
    if not stays_within(root, path):
        raise RefusedError("is a link that leads out of the folder")
    return read_regular(path)


def stays_within(root: Path, path: Path) -> bool:
    """Whether a path, links followed, is below a folder, which is resolved."""
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # links in a circle
        return False


def read_regular(path: Path | str) -> bytes:
    """Reads a regular file; nothing else is waited for.

    Raises:
        RefusedError: It is of another kind, too large, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise RefusedError("is no regular file")
            if why := too_large(found.st_size):
                raise RefusedError(why)
            content = file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    if why := too_large(len(content)):
        raise RefusedError(why)
    return content
