"""The first stage: lists a source, and passes on what the journal does not know."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from imagesearch_ingest.budget import ByteBudget, StoppedError
from imagesearch_ingest.items import (
    Item,
    Listed,
    RefusedError,
    ShardEnd,
    Source,
    Unlisted,
    UnreadableError,
    Unsettled,
    Unusable,
    in_shard,
)
from imagesearch_ingest.journal import Entry, Journal
from imagesearch_ingest.ledger import ShardLedger
from imagesearch_ingest.report import Report
from imagesearch_ingest.work import Outcome, Work

_TOGETHER = 512


@dataclass(frozen=True)
class Choice:
    """Which of the items that the journal knows are done again.

    Attributes:
        again: All.
        retry_refused: Those that were refused.
    """

    again: bool = False
    retry_refused: bool = False


class Lister:
    """Lists the items of a source that are to be read.

    Args:
        source: The source.
        journal: A connection of this thread's own.
        number: The source's number there; None: nothing is known of it.
        recipe: How images are described; part of every stamp.
        choice: Which known items are done again.
        budget: Bounds what must be read at once.
        report: Counts what is listed.
        ledger: Is told of everything that goes on, and of the ends of shards.
        stopping: Says that nothing more is wanted.
        read_at_once: Read what must be read before the next item; else only list.
    """

    def __init__(
        self,
        source: Source,
        journal: Journal,
        number: int | None,
        recipe: str,
        choice: Choice,
        budget: ByteBudget,
        report: Report,
        ledger: ShardLedger,
        stopping: Callable[[], bool],
        *,
        read_at_once: bool,
    ) -> None:
        self._source = source
        self._journal = journal
        self._number = number
        self._recipe = recipe
        self._choice = choice
        self._budget = budget
        self._report = report
        self._ledger = ledger
        self._stopping = stopping
        self._read_at_once = read_at_once
        self.not_gone: list[str] = []
        """Prefixes of keys that were not, or could not all be, listed."""

    def works(
        self, listed: Iterator[Listed] | None, seen: Callable[[list[str]], None] | None
    ) -> Iterator[Work | Outcome]:
        """Gives what is to be read, and what is refused without being read.

        Args:
            listed: What to look at; None: all of the source.
            seen: Called with the keys of all that is there, many at a time.

        Raises:
            StoppedError: Nothing more is wanted.
        """
        items = self._source.items(self._shard_done) if listed is None else listed
        with closing(self._apart(items)) as several:
            for together in several:
                if self._stopping():
                    raise StoppedError
                yield from self._together(together, seen)

    def _apart(self, items: Iterator[Listed]) -> Generator[list[Listed]]:
        """Cuts into parts: of items that must be read before the next one, each is one."""
        part: list[Listed] = []
        for listed in items:
            part.append(listed)
            if len(part) >= _TOGETHER or (isinstance(listed, Item) and listed.in_order):
                yield part
                part = []
        yield part

    def _together(
        self, several: list[Listed], seen: Callable[[list[str]], None] | None
    ) -> Iterator[Work | Outcome]:
        keyed = [one for one in several if isinstance(one, Item | Unusable | Unsettled)]
        keys = [one.key for one in keyed]
        known: dict[str, Entry] = {}
        if self._number is not None and keys:
            known = self._journal.entries(self._number, keys)
        for one in several:
            if isinstance(one, ShardEnd):
                self._end(one)
            elif isinstance(one, Unlisted):
                self.not_gone.append(one.prefix)
                self._report.refuse(one.prefix or self._source.name, one.reason)
            elif isinstance(one, Unsettled):
                self._report.unsettled += 1
            else:
                self._report.listed += 1
                if (work := self._work(one, known.get(one.key))) is not None:
                    self._ledger.began(one.key)
                    yield work
        if seen is not None and keys:
            seen(keys)

    def _work(self, one: Item | Unusable, before: Entry | None) -> Work | Outcome | None:
        stamp = f"{self._recipe}:{one.stamp}"
        if before is not None and before.stamp == stamp and not self._choice.again:
            if before.reason == "":
                self._report.known += 1
                self._report.outcomes["unchanged"] += 1
                return None
            if not self._choice.retry_refused:
                self._report.known_refused += 1
                return None
        if isinstance(one, Unusable):
            return refused(one.key, stamp, one.reason)
        if not one.in_order or not self._read_at_once:
            return Work(one, stamp, before)
        self._budget.take(one.size)
        held = one.size
        try:
            content = one.read()
        except Exception as error:  # of many libraries; this image's own: the others go on
            return not_read(one.key, stamp, error, held)
        self._budget.correct(held, len(content))
        return Work(one, stamp, before, content, len(content))

    def _end(self, end: ShardEnd) -> None:
        self._ledger.ended(end.shard, end.stamp)
        if end.known and self._number is not None:
            done, not_stored = self._journal.shard_counts(self._number, end.shard)
            self._report.listed += done + not_stored
            self._report.known += done
            self._report.outcomes["unchanged"] += done
            self._report.known_refused += not_stored
            self.not_gone.append(in_shard(end.shard, ""))

    def _shard_done(self, shard: str, stamp: str) -> bool:
        if self._number is None or self._choice.again:
            return False
        return self._journal.shard_done(
            self._number, shard, f"{self._recipe}:{stamp}", not self._choice.retry_refused
        )


def not_read(key: str, stamp: str, error: Exception, held: int) -> Outcome:
    """The outcome of an item that could not be read."""
    outcome = refused(key, stamp, str(error) or type(error).__name__, held)
    if isinstance(error, RefusedError) and not isinstance(error, UnreadableError):
        return outcome
    return replace(outcome, what="failed")


def refused(key: str, stamp: str, reason: str, held: int = 0) -> Outcome:
    """The outcome of an item that is not sent."""
    return Outcome(Entry(key, stamp, None, None, None, False, reason), "refused", held)
