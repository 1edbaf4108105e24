"""A file of JSON objects, a line each, that is only ever added to.

A kill may cut the last line short. It is taken off when the file is opened again.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SYNC_LINES = 64
SYNC_S = 1.0

_BLOCK = 64 * 1024


class InUseError(Exception):
    """Another process writes to the file."""


class JsonLines:
    """Adds lines to a file. Use it as a context manager.

    A line reaches the operating system at once, so that it outlives this process, and the disk
    in batches of SYNC_LINES, or after SYNC_S, so that all but the last batch outlive the machine.

    Raises:
        InUseError: Another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unsynced = 0
        self._synced_at = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise InUseError(f"another run is writing to {path.parent}") from error
        self._end = _whole(self._file)
        os.ftruncate(self._file, self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sync()
        os.close(self._file)

    def append(self, value: dict[str, Any]) -> int:
        """Adds a line and gives its offset in the file, in bytes."""
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
        data = line.encode(errors="backslashreplace")
        offset = self._end
        while data:
            written = os.pwrite(self._file, data, self._end)
            self._end += written
            data = data[written:]
        self._unsynced += 1
        if self._unsynced >= SYNC_LINES or time.monotonic() - self._synced_at > SYNC_S:
            self.sync()
        return offset

    def sync(self) -> None:
        """Waits until all lines are on the disk."""
        if self._unsynced:
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def read_at(self, offset: int) -> dict[str, Any]:
        """Reads the line that begins at an offset which `append` or `lines` gave."""
        data = b""
        while b"\n" not in data:
            block = os.pread(self._file, _BLOCK, offset + len(data))
            if not block:
                break
            data += block
        value: dict[str, Any] = json.loads(data.partition(b"\n")[0])
        return value

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Reads all lines, with their offsets. Lines that are no JSON objects are passed over."""
        with self._path.open("rb") as file:
            offset = 0
            for line in file:
                if offset >= self._end:
                    return
                try:
                    value = json.loads(line)
                except ValueError:
                    value = None
                if isinstance(value, dict):
                    yield offset, value
                offset += len(line)


def _whole(file: int) -> int:
    """Length of a file up to the end of its last whole line."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        if (cut := os.pread(file, end - start, start).rfind(b"\n")) >= 0:
            return start + cut + 1
        end = start
    return 0
