"""The last stage: writes outcomes to the journal, many at a time, and only then lets go of them."""

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from imagesearch_ingest.journal import Entry, Journal
from imagesearch_ingest.work import Outcome

_TOGETHER = 4_096
_PAUSE_S = 0.02
_MOST_WAITING = 10_000


class Recorder:
    """Writes in a thread of its own. While the disk is busy, outcomes gather for the next write.

    Args:
        journal: A connection of the thread's own.
        written: Called in the thread with outcomes that are on disk now, or that are not
            to be remembered.
    """

    def __init__(self, journal: Journal, written: Callable[[Sequence[Outcome]], None]) -> None:
        self._journal = journal
        self._written = written
        self._outcomes: SimpleQueue[Outcome | None] = SimpleQueue()  # bounded by who adds
        self._place: tuple[int, int] | None = None
        self._waiting: list[Entry] = []
        self.error: Exception | None = None
        """Why it could not write."""
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def use(self, target: int, source: int) -> None:
        """Says what the outcomes belong to; before that, they wait to be written."""
        self._place = (target, source)

    def add(self, outcome: Outcome) -> None:
        """Takes an outcome. From any thread."""
        self._outcomes.put(outcome)

    def finish(self) -> None:
        """Writes what is left, and ends the thread.

        Raises:
            sqlite3.Error: Something could not be written.
        """
        self._outcomes.put(None)
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        ended = False
        while not ended:
            together: list[Outcome] = []
            while len(together) < _TOGETHER:
                try:
                    outcome = self._outcomes.get(block=not together)
                except Empty:
                    break
                if outcome is None:
                    ended = True
                    break
                together.append(outcome)
            if not together:
                continue
            try:
                self._write(together)
            except Exception as error:  # it is raised by `finish`; the others must not wait for us
                self.error = error
            self._written(together)
            if not ended:
                time.sleep(_PAUSE_S)

    def _write(self, together: Sequence[Outcome]) -> None:
        entries = [each.entry for each in together if each.what != "failed"]
        if self._place is None:  # nothing is stored yet: these were refused
            self._waiting += entries[: _MOST_WAITING - len(self._waiting)]
        elif self.error is None:
            self._journal.write(*self._place, [*self._waiting, *entries])
            self._waiting = []
