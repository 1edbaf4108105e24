"""Originals and thumbnails, kept under their content's name wherever fsspec can write."""

import errno
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import structlog
from fsspec.implementations.local import LocalFileSystem
from prometheus_client import CollectorRegistry

from gateway.errors import StoreFullError
from gateway.metrics import Metrics
from service_kit.errors import UnavailableError
from service_kit.workers import Workers

log = structlog.get_logger()

ORIGINAL = "originals"
THUMBNAIL = "thumbnails"


class ImageStore:
    """Files by index, variant and image id. Writing the same again changes nothing.

    Args:
        url: Where, as fsspec names it.
        workers: Threads for reading and writing.
        metrics: Measures what is done; None: nothing does.
    """

    def __init__(self, url: str, workers: Workers, metrics: Metrics | None = None) -> None:
        self._files: Any
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._workers = workers
        self._metrics = metrics or Metrics(CollectorRegistry())

    async def put(self, index: str, image_id: str, original: bytes, thumbnail: bytes) -> None:
        """Stores an image; returns when it is safe.

        Raises:
            StoreFullError: There is no room.
            UnavailableError: The store does not work.
        """
        for variant, data in ((ORIGINAL, original), (THUMBNAIL, thumbnail)):
            async with self._reported("write", len(data)):
                await self._workers.run(self._write, self._path(index, variant, image_id), data)

    async def read(self, index: str, variant: str, image_id: str) -> bytes | None:
        """Reads an image; None if it is not there.

        Raises:
            UnavailableError: The store does not work.
        """
        return await self._read(self._path(index, variant, image_id))

    async def delete(self, index: str, image_ids: Sequence[str]) -> None:
        """Deletes images, where they are there.

        Raises:
            UnavailableError: The store does not work.
        """
        for variant in (ORIGINAL, THUMBNAIL):
            for image_id in image_ids:
                await self._delete(self._path(index, variant, image_id))

    async def save_note(self, index: str, folder: str, name: str, data: bytes) -> None:
        """Stores or replaces a file of the gateway's own, as a whole; returns when it is safe.

        Raises:
            StoreFullError: There is no room.
            UnavailableError: The store does not work.
        """
        async with self._reported("write", len(data)):
            await self._workers.run(self._write, self._note(index, folder, name), data)

    async def load_note(self, index: str, folder: str, name: str) -> bytes | None:
        """Reads a file of the gateway's own; None if it is not there.

        Raises:
            UnavailableError: The store does not work.
        """
        return await self._read(self._note(index, folder, name))

    async def delete_note(self, index: str, folder: str, name: str) -> None:
        """Deletes a file of the gateway's own, where it is there.

        Raises:
            UnavailableError: The store does not work.
        """
        await self._delete(self._note(index, folder, name))

    async def notes(self, index: str, folder: str) -> dict[str, datetime]:
        """Names of the gateway's own files in a folder, and when each was written.

        Raises:
            UnavailableError: The store does not work.
        """
        async with self._reported("list"):
            return await self._workers.run(self._written, f"{self._root}/{index}/{folder}")

    def _written(self, folder: str) -> dict[str, datetime]:
        written: dict[str, datetime] = {}
        with suppress(FileNotFoundError):
            for path in self._files.ls(folder, detail=False):
                with suppress(FileNotFoundError):
                    at = self._files.modified(path)
                    written[PurePosixPath(path).name] = at if at.tzinfo else at.replace(tzinfo=UTC)
        return written

    async def _read(self, path: str) -> bytes | None:
        data: bytes | None = None
        async with self._reported("read"):
            with suppress(FileNotFoundError):
                data = await self._workers.run(self._files.cat_file, path)
        if data is not None:
            self._metrics.read(len(data))
        return data

    async def _delete(self, path: str) -> None:
        async with self._reported("delete"):
            with suppress(FileNotFoundError):
                await self._workers.run(self._files.rm_file, path)

    @asynccontextmanager
    async def _reported(self, operation: str, size: int = 0) -> AsyncIterator[None]:
        try:
            with self._metrics.storing(operation, size):
                yield
        except OSError as error:
            log.exception("store_failed")
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFullError from error
            raise UnavailableError("the image store does not work") from error

    def _path(self, index: str, variant: str, image_id: str) -> str:
        return f"{self._root}/{index}/{variant}/{image_id[:2]}/{image_id[2:4]}/{image_id}"

    def _note(self, index: str, folder: str, name: str) -> str:
        return f"{self._root}/{index}/{folder}/{name}"

    def _write(self, path: str, data: bytes) -> None:
        if isinstance(self._files, LocalFileSystem):
            _write_file(Path(path), data)
        else:  # object stores write an object as a whole or not at all
            self._files.pipe_file(path, data)


def _write_file(path: Path, data: bytes) -> None:
    """Writes a file so that it is there as a whole or not at all, and survives a power cut.

    One that is there and the same is left as it is.
    """
    try:
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
