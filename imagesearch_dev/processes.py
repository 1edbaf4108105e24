"""Child processes that never outlive their parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PRELUDE = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):  # it died before we asked
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Process:
    """A program that runs beside this one, its output in a file.

    Args:
        name: What people call it.
        arguments: The command line.
        log: File that its output is appended to.
        env: Added to this process's environment.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], *, log: Path, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        self._arguments = arguments
        self._env = {**os.environ, **env}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running child."""
        assert self._child is not None, "not started"
        return self._child.pid

    def start(self) -> None:
        """Starts it, in a session of its own: Ctrl-C in the terminal is the parent's to handle."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(
                _until_parent_dies(self._arguments),
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def exit_status(self) -> int | None:
        """The exit status; None while it runs."""
        return None if self._child is None else self._child.poll()

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Freezes it: connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self, timeout_s: float = 30.0) -> None:
        """Asks it to end, and kills it if it has not after `timeout_s` seconds."""
        if self._child is None or self._child.poll() is not None:
            return
        self._child.terminate()
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_lines(self, count: int = 15) -> str:
        """The end of its output."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-count:])


def _until_parent_dies(arguments: Sequence[str]) -> Sequence[str]:
    """The command line of the same program, asked to end when this one dies; Linux only.

    A program of its own arranges that, before it becomes the other: Python code run between fork
    and exec is not safe beside threads, least of all those of gRPC.
    """
    if sys.platform != "linux":
        return arguments
    return (sys.executable, "-I", "-S", "-c", _PRELUDE, str(os.getpid()), *arguments)
