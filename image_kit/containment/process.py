"""One decoding process, as its service holds it."""

import contextlib
import fcntl
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple
from itertools import accumulate
from typing import Any

from image_kit.containment import frames
from image_kit.containment.answers import Answer, Facts
from image_kit.containment.bounds import Bounds
from image_kit.reading import TOO_COSTLY, ImageLimits, RefusedImage

START_S = 60.0
"""Longest that a process may take to load what it needs."""

_KEPT_BYTES = 16 * 1024 * 1024

_PROGRAM = """
import json, sys
setup = json.loads(sys.argv[1])
sys.path[:] = setup["path"]
from image_kit.containment.child import main
main(setup)
"""

_ENVIRONMENT = {
    # One image needs one thread, and an arena for each of many would be counted as memory.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    # Memory of usual pictures is kept for the next one: to get it from the system again, page by
    # page, takes half as long as to decode.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(48 << 20),
}
_LOADER = "LD_LIBRARY_PATH"  # where some installations have the libraries of Python itself


class DeadError(Exception):
    """The process ended without an answer. It may have been the file's doing, or not."""


class TaskError(Exception):
    """A task failed in a way that is a fault of ours."""


class DecodingProcess:
    """Starts a process that decodes; must be closed.

    Args:
        tasks: Names of what it can be asked for.
        bounds: On one image.
        max_bytes: Of one file.
    """

    def __init__(self, tasks: Sequence[str], bounds: Bounds, max_bytes: int) -> None:
        self._seconds = bounds.seconds
        self._used = 0
        self.confinement: list[str] | None = None
        """What the system keeps it from; None until it is ready."""
        memory = _shared_memory(max(max_bytes, bounds.answer_bytes))
        ours, theirs = socket.socketpair()
        life, self._life = os.pipe()
        try:
            self._memory = mmap.mmap(memory, 0)
            setup = {
                "path": [os.path.abspath(entry) for entry in sys.path],
                "connection": theirs.fileno(),
                "memory": memory,
                "life": life,
                "tasks": list(tasks),
                "memory_bytes": bounds.memory_bytes,
                "seconds": bounds.seconds,
            }
            loader = {_LOADER: os.environ[_LOADER]} if _LOADER in os.environ else {}
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _PROGRAM, json.dumps(setup)],
                env={**_ENVIRONMENT, **loader},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libraries would write there whatever files say
                pass_fds=(theirs.fileno(), memory, life),
            )
        except BaseException:
            ours.close()
            os.close(self._life)
            raise
        finally:
            theirs.close()
            os.close(memory)
            os.close(life)
        self._connection = ours

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Waits until it has loaded all it needs.

        Raises:
            DeadError: It did not come up.
        """
        if self.confinement is None:
            message = self._receive(time.monotonic() + START_S, "did not start")
            if "ready" not in message:
                raise DeadError(f"did not start: {message.get('failed')}")
            self.confinement = [str(each) for each in message["ready"]]

    def ask(self, task: str, data: bytes, limits: ImageLimits, options: Facts) -> Answer:
        """Lets it do a task.

        Raises:
            RefusedImage: The file cannot be used, or costs too much; in that case it is to be
                closed if it is not `alive`.
            DeadError: It has ended, and must be closed.
            TaskError: The task has a fault.
        """
        expires_at = time.monotonic() + self._seconds
        request = {
            "task": task,
            "length": len(data),
            "limits": astuple(limits),
            "options": options,
        }
        self._memory[: len(data)] = data
        try:
            self._connection.settimeout(self._seconds)
            frames.send(self._connection, request)
        except OSError as error:
            raise DeadError(self._how_it_ended()) from error
        try:
            message = self._receive(expires_at, "ended")
        except TimeoutError:
            self.close()
            what = f"takes longer than {self._seconds:g} s"
            raise RefusedImage(what, TOO_COSTLY) from None
        if "failed" in message:
            raise TaskError(message["failed"])
        try:
            if "refused" in message:
                what, reason = message["refused"]
                raise RefusedImage(str(what), str(reason))
            return Answer(dict(message["facts"]), self._parts(message["lengths"]))
        except (KeyError, TypeError, ValueError) as error:  # it does not speak as it should
            self.close()
            raise DeadError("was taken over, or is broken") from error
        finally:
            self._give_back_memory(len(data))

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._connection.fileno() >= 0 and self._process.poll() is None

    def close(self) -> None:
        """Ends it at once, whatever it does."""
        if self._connection.fileno() < 0:
            return
        self._connection.close()
        os.close(self._life)
        self._memory.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _parts(self, lengths: Sequence[int]) -> list[bytearray]:
        if not all(type(each) is int and each >= 0 for each in lengths):
            raise ValueError(lengths)
        ends = list(accumulate(lengths))
        if ends and ends[-1] > len(self._memory):
            raise ValueError(lengths)
        self._used = max(ends, default=0)
        return [
            bytearray(self._memory[end - length : end])
            for length, end in zip(lengths, ends, strict=True)
        ]

    def _give_back_memory(self, used: int) -> None:
        """What one large image took stays taken else, for as long as the process runs."""
        if max(used, self._used) > _KEPT_BYTES and self.alive:
            self._memory.madvise(mmap.MADV_REMOVE)
        self._used = 0

    def _receive(self, expires_at: float, what: str) -> dict[str, Any]:
        try:
            message = frames.receive(self._connection, expires_at)
        except (frames.BrokenFrameError, ConnectionError) as error:
            raise DeadError(f"{what}: {error}") from error
        if message is None:
            how = self._how_it_ended()
            if how == _signal_name(signal.SIGXCPU):
                limit = f"takes more than {self._seconds:g} s of a processor"
                raise RefusedImage(limit, TOO_COSTLY)
            raise DeadError(how)
        return message

    def _how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1.0)
            return _signal_name(-code) if code < 0 else f"exit status {code}"
        return "it closed its connection"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _shared_memory(size: int) -> int:
    """A file in memory that two processes map; takes room as it is written."""
    if sys.platform.startswith("linux"):
        memory = os.memfd_create("images", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(memory, size)
        # Cut short by a taken-over process, it would take this one down.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
        return memory
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), size)
        return os.dup(file.fileno())
