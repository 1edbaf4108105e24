"""The stages joined: list, read, send, record; each waits for the next."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from imagesearch_client.uploading import UploadLimits
from imagesearch_ingest.budget import ByteBudget, Handover, StoppedError
from imagesearch_ingest.items import Listed, Source
from imagesearch_ingest.journal import Journal
from imagesearch_ingest.ledger import ShardLedger
from imagesearch_ingest.listing import Lister
from imagesearch_ingest.reading import Reader
from imagesearch_ingest.recording import Recorder
from imagesearch_ingest.report import Report, Table
from imagesearch_ingest.sending import Sender
from imagesearch_ingest.settings import Settings
from imagesearch_ingest.target import Target
from imagesearch_ingest.work import Loaded, Outcome, Work

if TYPE_CHECKING:
    from imagesearch_client.async_client import AsyncClient

_QUEUE = 1_024
_MOST_UNRECORDED = 8_192


class Pipeline:
    """One run over a source.

    Args:
        client: The gateway.
        source: Where images come from.
        target: The index they go to.
        journal: What is known.
        settings: How it goes.
        report: Is kept up to date while it runs.
        table: Gets every outcome.
    """

    def __init__(
        self,
        client: "AsyncClient",
        source: Source,
        target: Target,
        journal: Journal,
        settings: Settings,
        report: Report,
        table: Table,
    ) -> None:
        self._client = client
        self._source = source
        self._target = target
        self._journal = journal
        self._settings = settings
        self._report = report
        self._table = table
        self._loop = asyncio.get_running_loop()
        self._budget = ByteBudget(settings.max_bytes)
        self._works: queue.Queue[Work | None] = queue.Queue(_QUEUE)
        self._loaded: Handover[Loaded] = Handover(settings.streams * settings.window)
        self._unrecorded = threading.Semaphore(_MOST_UNRECORDED)
        self._window = asyncio.Semaphore(settings.streams * settings.window)
        self._stopping = False
        self._ledger = ShardLedger()
        self.not_gone: list[str] = []
        """Prefixes of keys that were not all listed, so that none of them counts as gone."""

    async def run(
        self,
        listed: Callable[[], Iterator[Listed]] | None = None,
        seen: Callable[[list[str]], None] | None = None,
    ) -> None:
        """Runs until all is done, or `stop` is called.

        Args:
            listed: Lists what to look at; None: all of the source.
            seen: Called in a thread with the keys of all that is there, many at a time.

        Raises:
            ImageSearchError: The system stayed away, or refused the stream as a whole.
            SourceError: The source cannot be read.
        """
        writing = self._journal.another()
        self._recorder = recorder = Recorder(writing, partial(self._written, writing))
        place = self._target.place(self._source.name)
        if place is not None and not self._settings.dry_run:
            recorder.use(*place)
        recorder.start()
        threads = ThreadPoolExecutor(self._settings.readers + 1, thread_name_prefix="ingest")
        listing = self._loop.run_in_executor(threads, self._list, listed, seen)
        readers = [
            self._loop.run_in_executor(threads, self._read) for _ in range(self._settings.readers)
        ]
        sender = Sender(
            self._client,
            self._target,
            self._source.name,
            self._loaded,
            self._window,
            recorder,
            UploadLimits(
                max_in_flight=self._settings.window, max_bytes_in_flight=self._settings.max_bytes
            ),
        )
        streams = [asyncio.create_task(sender.run()) for _ in range(self._settings.streams)]
        closing = asyncio.create_task(self._close_when_read(listing, readers))
        try:
            await asyncio.gather(*streams, closing)
        except BaseException:
            self.stop()
            for stream in streams:
                stream.cancel()
            raise
        finally:
            await asyncio.gather(listing, *readers, *streams, closing, return_exceptions=True)
            threads.shutdown(wait=False)
            await asyncio.to_thread(recorder.finish)
            self._end_shards(writing)
            writing.close()

    def stop(self) -> None:
        """Takes nothing more in; what was sent is waited for. On the event loop."""
        self._stopping = True
        self._budget.stop()
        for loaded in self._loaded.stop():
            self._budget.give_back(loaded.held)

    def _list(
        self,
        listed: Callable[[], Iterator[Listed]] | None,
        seen: Callable[[list[str]], None] | None,
    ) -> None:
        """The thread that lists."""
        journal = self._journal.another()
        place = self._target.place(self._source.name)
        lister = Lister(
            self._source,
            journal,
            place[1] if place is not None else None,
            self._settings.recipe,
            self._settings.choice,
            self._budget,
            self._report,
            self._ledger,
            lambda: self._stopping,
            read_at_once=not self._settings.dry_run,
        )
        try:
            for work in lister.works(listed() if listed is not None else None, seen):
                if self._stopping:
                    return
                if isinstance(work, Outcome):
                    self._record(work)
                elif self._settings.dry_run:
                    self._report.to_send += 1
                else:
                    self._put(work)
        except StoppedError:
            pass
        finally:
            self.not_gone = lister.not_gone
            journal.close()
            for _ in range(self._settings.readers):
                self._put(None)

    def _put(self, work: Work | None) -> None:
        while not (self._stopping and work is not None):
            try:
                self._works.put(work, timeout=0.2)
                return
            except queue.Full:
                continue

    def _read(self) -> None:
        """A thread that reads."""
        reader = Reader(self._settings.describing, self._budget, self._settings.choice.again)
        broken: Exception | None = None
        while (work := self._works.get()) is not None:
            if self._stopping:
                continue  # to the end: who puts works in must not wait
            try:
                loaded = reader.load(work)
                if isinstance(loaded, Outcome):
                    self._record(loaded)
                else:
                    self._loaded.put(loaded)
            except StoppedError:
                continue
            except Exception as error:  # a bug, raised when all have come to rest
                broken, self._stopping = error, True
        if broken is not None:
            raise broken

    async def _close_when_read(
        self, listing: "asyncio.Future[None]", readers: list["asyncio.Future[None]"]
    ) -> None:
        try:
            await asyncio.gather(listing, *readers)
        finally:
            self._loaded.close()

    def _record(self, outcome: Outcome) -> None:
        """Takes an outcome from a thread; waits while too many are not written."""
        while not self._unrecorded.acquire(timeout=0.2):
            if self._stopping:
                break
        self._recorder.add(outcome)

    def _written(self, journal: Journal, outcomes: Sequence[Outcome]) -> None:
        """Counts outcomes that are on disk, and makes room. In the recorder's thread."""
        answered = 0
        for outcome in outcomes:
            entry, image = outcome.entry, outcome.entry.image
            if outcome.what in ("refused", "failed"):
                self._report.refuse(entry.key, entry.reason)
            else:
                self._report.outcomes[outcome.what] += 1
            self._table.add(entry.key, image.hex() if image else "", outcome.what, entry.reason)
            self._ledger.settled(entry.key, failed=outcome.what == "failed")
            if outcome.held:
                self._budget.give_back(outcome.held)
            if outcome.sent:
                answered += 1
                self._report.sent_bytes += outcome.sent
            else:
                self._unrecorded.release()
        self._end_shards(journal)
        if answered:
            self._loop.call_soon_threadsafe(self._make_room, answered)

    def _make_room(self, count: int) -> None:
        for _ in range(count):
            self._window.release()

    def _end_shards(self, journal: Journal) -> None:
        place = self._target.place(self._source.name)
        if place is not None and self._source.shards and not self._settings.dry_run:
            for shard, stamp in self._ledger.done():
                journal.end_shard(place[1], shard, f"{self._settings.recipe}:{stamp}")
