"""A folder's images to the gateway, over one stream."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagesearch.common.v1 import types_pb2
from imagesearch.gateway.v1.image_search_service_pb2 import ImageUpload

from imagesearch_cli.connection import violations
from imagesearch_client import MAX_IMAGE_BYTES, AsyncClient, upload

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".heic",
        ".heif",
    ]
)
"""Names taken for images; everything else in a folder is passed over."""


@dataclass
class Report:
    """What became of the images.

    Attributes:
        outcomes: How many were "created", "merged" or "unchanged".
        refused: (relative path, reason) of those that were not stored.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)

    @property
    def stored(self) -> int:
        """Images that are in the index now."""
        return self.outcomes.total()


def find_images(folder: Path) -> Iterator[Path]:
    """Walks a folder in the order of names, leaving out hidden files and folders.

    Links to folders are not followed.
    """
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


async def index_images(
    client: AsyncClient,
    folder: Path,
    paths: Sequence[Path],
    *,
    index: str,
    tags: Sequence[str],
    progress: Callable[[Report], None],
) -> Report:
    """Sends images and waits until each is acknowledged or refused.

    Args:
        client: The gateway's.
        folder: What the relative paths are relative to.
        paths: The files.
        index: Name of the index; empty for the default.
        tags: Labels put on every image.
        progress: Called after each answer.

    Raises:
        ImageSearchError: The gateway stayed away, or refused the stream as a whole.
    """
    report = Report()

    async def uploads() -> AsyncIterator[ImageUpload]:
        for path in paths:
            name = _name(path.relative_to(folder))
            content = await asyncio.to_thread(_read, path)
            if isinstance(content, bytes):
                yield upload(content, relative_path=name, tags=tags)
            else:
                report.refused.append((name, content))
                progress(report)

    async for outcome in client.index_images(uploads(), index=index):
        if outcome.indexed is not None:
            done = types_pb2.UpsertOutcome.Name(outcome.indexed.outcome)
            report.outcomes[done.removeprefix("UPSERT_OUTCOME_").lower()] += 1
        elif outcome.error is not None:
            why = "; ".join(violations(outcome.error)) or outcome.error.message
            report.refused.append((outcome.upload.relative_path, why))
        progress(report)
    return report


def _name(path: Path) -> str:
    """The path as text. Names of files need not be Unicode; messages must."""
    return path.as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")


def _read(path: Path) -> bytes | str:
    """Gives the file's bytes, or why they are not sent."""
    try:
        if (size := path.stat().st_size) > MAX_IMAGE_BYTES:
            return f"has {size} bytes; at most {MAX_IMAGE_BYTES} are allowed"
        return path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
