"""Images that were searched by, kept for a while in a folder, under their content's name."""

import hashlib
import os
import time
import uuid
from pathlib import Path

from service_kit.workers import Workers

_SWEEP_S = 60.0


class QueryImages:
    """A folder of encoded images, bounded in bytes and age; several processes may share it.

    Only ids are ever part of a path, and only those that have been checked.

    Args:
        folder: Made if it is not there, for its owner alone.
        max_bytes: Bytes kept. Those not used for the longest time are deleted first.
        max_age_s: Seconds without use after which an image is deleted.
        workers: Threads for reading and writing.
    """

    def __init__(self, folder: Path, max_bytes: int, max_age_s: float, workers: Workers) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._workers = workers
        self._written = 0  # bytes since the last sweep
        self._swept_at = 0.0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def keep(self, data: bytes) -> str:
        """Keeps an image; answers its id, the SHA-256 of its bytes.

        Raises:
            OSError: There is no room.
        """
        return await self._workers.run(self._keep, data)

    async def get(self, image_id: str) -> bytes | None:
        """Reads an image, and keeps it for longer; None if it is not there (any more)."""
        return await self._workers.run(self._get, image_id)

    def _keep(self, data: bytes) -> str:
        image_id = hashlib.sha256(data).hexdigest()
        path = self._folder / image_id
        if self._get(image_id) is None:
            unfinished = self._folder / f".{image_id}.{uuid.uuid4().hex}"
            try:
                unfinished.touch(0o600)
                unfinished.write_bytes(data)
                unfinished.replace(path)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            self._written += len(data)
        now = time.monotonic()
        if self._written > self._max_bytes // 16 or now - self._swept_at > _SWEEP_S:
            self._written, self._swept_at = 0, now
            self._sweep(spare=image_id)
        return image_id

    def _get(self, image_id: str) -> bytes | None:
        path = self._folder / image_id
        try:
            if time.time() - path.stat().st_mtime > self._max_age_s:
                return None
            data = path.read_bytes()
            os.utime(path)
        except FileNotFoundError:
            return None
        return data

    def _sweep(self, spare: str) -> None:
        """Deletes what is too old, and then the least recently used until the rest fits."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    known = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                found.append((known.st_mtime, known.st_size, entry.name))
        size = sum(each[1] for each in found)
        oldest = time.time() - self._max_age_s
        for used_at, length, name in sorted(found):
            if name == spare or (used_at > oldest and size <= self._max_bytes * 15 // 16):
                continue
            if name.startswith(".") and used_at > time.time() - 600:
                continue  # another process may just be writing it
            (self._folder / name).unlink(missing_ok=True)
            size -= length
