"""`imagesearch index`: a folder's images to the gateway, over one stream."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from google.rpc import code_pb2
from imagesearch.common.v1 import types_pb2
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_cli.connection import AWAY, violations

if TYPE_CHECKING:
    from imagesearch_cli.connection import Stub

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

MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_IN_FLIGHT = 64
MAX_BYTES_IN_FLIGHT = 64 * 1024 * 1024
RECONNECTS = 5

PASSING = {code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.RESOURCE_EXHAUSTED}
"""Codes of single images that may be stored a moment later."""


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
    stub: "Stub",
    folder: Path,
    paths: Sequence[Path],
    *,
    index: str,
    tags: Sequence[str],
    progress: Callable[[Report], None],
) -> Report:
    """Sends images and waits until each is acknowledged or refused.

    What was not acknowledged because a part of the system was away is sent again,
    on a new stream, as long as there is progress between two breaks.

    Args:
        stub: The gateway.
        folder: What the relative paths are relative to.
        paths: The files.
        index: Name of the index; empty for the default.
        tags: Labels put on every image.
        progress: Called after each answer.

    Raises:
        grpc.aio.AioRpcError: The gateway stayed away, or refused the stream as a whole.
    """
    report = Report()
    names = {_name(path.relative_to(folder)): path for path in paths}
    breaks = 0
    while names:
        before = len(names)
        broken: grpc.aio.AioRpcError | None = None
        later: dict[str, str] = {}
        try:
            await _one_stream(stub, names, report, later, index=index, tags=tags, progress=progress)
        except grpc.aio.AioRpcError as error:
            if error.code() not in AWAY:
                raise
            broken = error
        breaks = 0 if len(names) < before else breaks + 1
        if breaks > RECONNECTS:
            if broken is not None:
                raise broken
            report.refused.extend((name, later.get(name, "was not answered")) for name in names)
            break
        if names:
            await asyncio.sleep(min(2**breaks * 0.2, 5))
    return report


async def _one_stream(
    stub: "Stub",
    names: dict[str, Path],
    report: Report,
    later: dict[str, str],
    *,
    index: str,
    tags: Sequence[str],
    progress: Callable[[Report], None],
) -> None:
    """Runs one stream over `names`; removes from it what was stored or refused.

    What could not be stored for now stays, with its reason in `later`.
    """
    window = _Window()

    async def requests() -> AsyncIterator[pb.IndexImagesRequest]:
        for name, path in list(names.items()):
            content = await asyncio.to_thread(_read, path)
            if isinstance(content, str):
                report.refused.append((name, content))
                del names[name]
                progress(report)
                continue
            await window.enter(name, len(content))
            yield pb.IndexImagesRequest(
                request_id=name,
                index=index,
                image=pb.ImageUpload(content=content, relative_path=name, tags=tags),
            )

    async for answer in stub.IndexImages(requests()):
        window.leave(answer.request_id)
        if answer.HasField("error"):
            why = "; ".join(violations(answer.error)) or answer.error.message
            if answer.error.code in PASSING:
                later[answer.request_id] = why
                continue
            names.pop(answer.request_id, None)
            report.refused.append((answer.request_id, why))
        elif names.pop(answer.request_id, None) is not None:
            outcome = types_pb2.UpsertOutcome.Name(answer.indexed.outcome)
            report.outcomes[outcome.removeprefix("UPSERT_OUTCOME_").lower()] += 1
        progress(report)


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


class _Window:
    """Bounds what is sent and not answered yet, in images and in bytes."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._bytes = 0
        self._left = asyncio.Event()

    async def enter(self, name: str, size: int) -> None:
        while self._sizes and (
            len(self._sizes) >= MAX_IN_FLIGHT or self._bytes + size > MAX_BYTES_IN_FLIGHT
        ):
            self._left.clear()
            await self._left.wait()
        self._sizes[name] = size
        self._bytes += size

    def leave(self, name: str) -> None:
        self._bytes -= self._sizes.pop(name, 0)
        self._left.set()
