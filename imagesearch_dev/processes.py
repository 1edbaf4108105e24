"""Child processes that never outlive their parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


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
                self._arguments,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),
            )

    def exit_status(self) -> int | None:
        """The exit status; None while it runs."""
        return None if self._child is None else self._child.poll()

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

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


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """Gives what a child runs first so that it is asked to end when `parent` dies; Linux only."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_kernel
