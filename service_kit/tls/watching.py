"""Certificates that are read again when their files change."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import structlog

from service_kit.tls.files import CertificateError, CertificateFiles, Certificates, load

log = structlog.get_logger()

LOOK_S = 1.0
"""Least seconds between two looks at the files."""

_SETTLED_S = 2.0

Signature = tuple[tuple[int, ...] | None, ...]


def _now() -> datetime:
    return datetime.now(UTC)


class WatchedCertificates:
    """What certificate files hold, looked at again now and then when somebody asks.

    Files that cannot be used change nothing: what was read before stays, the error is logged once,
    and `problem` says it until the files are right again. Files that somebody is just writing are
    let be until they stay the same from one look to the next. May be used from several threads.

    Args:
        files: Where they are.
        look_s: Least seconds between two looks.
        now: The time.
        clock: Seconds that only grow.

    Raises:
        CertificateError: They cannot be used now.
    """

    def __init__(
        self,
        files: CertificateFiles,
        look_s: float = LOOK_S,
        now: Callable[[], datetime] = _now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files = files
        self.problem = ""
        self._look_s = look_s
        self._now = now
        self._clock = clock
        self._lock = Lock()
        self._seen = self._last = _signature(files)
        self._current = load(files, now())
        self._next_look = clock() + look_s

    @property
    def expires(self) -> datetime | None:
        """When what is used now expires."""
        return self._current.expires

    def current(self) -> Certificates:
        """What to use now: the same object until something else is."""
        with self._lock:
            if self.files.paths() and self._clock() >= self._next_look:
                self._next_look = self._clock() + self._look_s
                self._look()
            return self._current

    def _look(self) -> None:
        found = _signature(self.files)
        settled = found == self._last or self._are_old(found)
        self._last = found
        if not settled or (found == self._seen and not self.problem):
            return
        try:
            loaded = load(self.files, self._now())
        except CertificateError as error:
            self._fail(str(error))
            return
        if self.problem:
            log.info("certificates_usable_again", files=self._names())
        self._seen, self.problem = found, ""
        if loaded != self._current:
            self._current = loaded
            log.info("certificates_changed", files=self._names(), expires=str(loaded.expires))

    def _are_old(self, found: Signature) -> bool:
        """Whether the last write was a while ago: whoever asks seldom need not ask twice."""
        oldest_unsettled = self._now().timestamp() - _SETTLED_S
        return all(each is not None and each[0] / 1e9 < oldest_unsettled for each in found)

    def _fail(self, problem: str) -> None:
        if problem != self.problem:
            log.error("certificates_not_changed", why=problem, expires=str(self.expires))
        self.problem = problem

    def _names(self) -> list[str]:
        return [str(path) for path in self.files.paths()]


def _signature(files: CertificateFiles) -> Signature:
    """What changes when a file does, or what its name leads to; None where there is no file."""
    return tuple(_of(path) for path in files.paths())


def _of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
