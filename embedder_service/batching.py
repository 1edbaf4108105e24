"""The queue in front of a model: what gathers while it computes becomes the next batch."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Generic, Self, TypeVar

import structlog

from embedder_service.computing import Computed, Computer, Outcome
from embedder_service.errors import ComputeError, QueueFullError
from embedder_service.place import Place
from embedder_service.statistics import Statistics
from service_kit import tracing
from service_kit.errors import DeadlineError, StoppingError

log = structlog.get_logger()

T = TypeVar("T")
R = TypeVar("R")

_LONGEST_RETRY_S = 30.0
_SHORTEST_RETRY_S = 0.1


class Batcher(Generic[T, R]):
    """Computes whatever has gathered while the model last ran.

    An idle server adds no wait; a busy one runs full batches. There is no timer. Where
    `ahead` is set, a batch is handed over before the last one is done, but only if it is full:
    waiting could not make it better.

    Places are of two kinds. Those of calls are refused when `max_queue` are held. Those of
    streams ("bulk") are waited for, and few: two batches' worth a computer keeps it busy, and a
    caller behind them waits no longer than that. Calls go first, but where both wait, bulk gets
    a quarter of each batch.

    All state changes happen on the event loop; only the computers work elsewhere. Leaving the
    `async with` block resolves every future that is left.

    Args:
        name: What is batched, for the log.
        computers: What computes, one a device. Each batch goes to the one with least to do.
        max_batch: Most items in a batch.
        max_queue: Most places of calls.
        max_bytes: Most bytes that all places together say they hold.
        ahead: Hand over one more full batch while one is computed.
    """

    def __init__(
        self,
        name: str,
        computers: Sequence[Computer[T, R]],
        *,
        max_batch: int,
        max_queue: int,
        max_bytes: int,
        ahead: bool = False,
    ) -> None:
        self.name = name
        self.statistics = Statistics()
        self._computers = computers
        self._max_batch = max_batch
        self._most = {False: max_queue, True: 2 * max_batch * len(computers)}
        self._max_bytes = max_bytes
        self._ahead = ahead
        # Dicts keep the order of arrival and let any place leave at once.
        self._held: dict[bool, dict[Place[T, R], None]] = {False: {}, True: {}}
        self._waiting: dict[bool, dict[Place[T, R], None]] = {False: {}, True: {}}
        self._bytes = 0
        self._for_room: deque[tuple[int, asyncio.Future[Place[T, R]]]] = deque()
        self._running: dict[asyncio.Future[Computed[R]], Computer[T, R]] = {}
        self._pump_is_due = False
        self._stopping = False
        self._stop_later: asyncio.TimerHandle | None = None
        self._per_second: float | None = None
        self.failing = False
        """Every item of the last batch failed: the model is broken, not they."""

    @property
    def held(self) -> int:
        """Places that are taken now."""
        return sum(map(len, self._held.values()))

    @property
    def limit(self) -> int:
        """Most places that calls may hold; beyond it they are refused."""
        return self._most[False]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._stop_later is not None:
            self._stop_later.cancel()
        if self._running:  # a forward pass cannot be interrupted
            await asyncio.wait(self._running)

    def enter(self, sizes: Sequence[int], expires_at: float = float("inf")) -> list[Place[T, R]]:
        """Takes a place for each input of a call: all of them, or none.

        Args:
            sizes: Bytes that each input holds while it waits.
            expires_at: When (time.monotonic) nobody will want the results any more.

        Raises:
            QueueFullError: There is not room for all of them now.
            StoppingError: The server stops.
        """
        full = len(self._held[False]) + len(sizes) > self._most[False]
        if self._stopping or full or not self._fits(sum(sizes)):
            self.statistics.rejected += len(sizes)
            if self._stopping:
                raise StoppingError
            raise QueueFullError(self.held, self._until_free(self.held))
        return [self._take(size, False, expires_at) for size in sizes]

    async def enter_bulk(self, size: int) -> Place[T, R]:
        """Waits, in turn, until there is room for an input of a stream.

        Raises:
            StoppingError: The server stops.
        """
        if self._stopping:
            self.statistics.rejected += 1
            raise StoppingError
        turn: asyncio.Future[Place[T, R]] = asyncio.get_running_loop().create_future()
        self._for_room.append((size, turn))
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                turn.result().leave()  # it came just now: the next one's turn
            raise

    def stop_after(self, seconds: float) -> None:
        """Goes on for a while, so that what waits is computed, then stops."""
        self._stop_later = asyncio.get_running_loop().call_later(seconds, self.stop)

    def stop(self) -> None:
        """Refuses what has not been begun, now and from now on."""
        self._stopping = True
        for _, turn in self._for_room:  # first, or they would get the places that come free
            if not turn.done():
                self.statistics.rejected += 1
                turn.set_exception(StoppingError())
        self._for_room.clear()
        for lane in self._held.values():
            for place in list(lane):
                if place.fail(StoppingError()):
                    self.statistics.rejected += 1
                self.free(place)

    def _take(self, size: int, bulk: bool, expires_at: float) -> Place[T, R]:
        place = Place(self, size, bulk, expires_at)
        self._held[bulk][place] = None
        self._bytes += size
        return place

    def _fits(self, size: int) -> bool:
        # Something larger than all that is allowed goes alone rather than never.
        return self._bytes == 0 or self._bytes + size <= self._max_bytes

    def _admit(self) -> None:
        """Gives places to the streams that wait, in turn, as long as there is room."""
        while self._for_room:
            size, turn = self._for_room[0]
            if not turn.done():
                if len(self._held[True]) >= self._most[True] or not self._fits(size):
                    return
                turn.set_result(self._take(size, True, float("inf")))
            self._for_room.popleft()

    def free(self, place: Place[T, R]) -> None:
        """Takes a place back; for places only."""
        self._waiting[place.bulk].pop(place, None)
        if place in self._held[place.bulk]:
            del self._held[place.bulk][place]
            self._bytes -= place.size
            self._admit()

    def ready(self, place: Place[T, R]) -> None:
        """Queues the item of a place; for places only."""
        place.ready_at = time.monotonic()
        self._waiting[place.bulk][place] = None
        if not self._pump_is_due:  # once this turn of the loop is over: others may come in it
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Hands a batch to every computer that is idle, and full ones ahead."""
        self._pump_is_due = False
        while waiting := len(self._waiting[False]) + len(self._waiting[True]):
            busy = list(self._running.values())
            computer = min(self._computers, key=busy.count)
            if busy.count(computer) > (self._ahead and waiting >= self._max_batch):
                return
            if batch := self._next_batch():
                self._start(batch, computer)

    def _next_batch(self) -> list[Place[T, R]]:
        calls, bulk = self._waiting[False], self._waiting[True]
        for_bulk = min(len(bulk), max(1, self._max_batch // 4) if self._max_batch > 1 else 0)
        batch = list(calls)[: self._max_batch - for_bulk]
        batch += list(bulk)[: self._max_batch - len(batch)]
        now = time.monotonic()
        for place in batch:
            if place.expires_at <= now and place.fail(
                DeadlineError("the time was over before the input was computed")
            ):
                self.statistics.expired += 1
            self.free(place)
        return [place for place in batch if not place.outcome.done()]

    def _start(self, batch: list[Place[T, R]], computer: Computer[T, R]) -> None:
        now = time.monotonic()
        for place in batch:
            self.statistics.queue.add(now - place.ready_at)
        wanted = [place.is_wanted for place in batch]
        try:
            running = computer.begin([place.item for place in batch], wanted)
        except RuntimeError:  # its thread is gone
            for place in batch:
                if place.fail(StoppingError()):
                    self.statistics.rejected += 1
            return
        self._running[running] = computer
        traced = tracing.batch(
            "compute",
            [place.waiting for place in batch],
            {"imagesearch.model": self.name, "imagesearch.batch_size": len(batch)},
        )
        running.add_done_callback(partial(self._finish, batch, traced))

    def _finish(
        self,
        batch: list[Place[T, R]],
        traced: tracing.Batch,
        running: "asyncio.Future[Computed[R]]",
    ) -> None:
        del self._running[running]
        traced.end()
        try:
            done = running.result()
        except BaseException as error:  # not what the model raised, but the machinery itself
            log.error("batch_lost", batcher=self.name, exc_info=error)
            done = Computed([ComputeError() for _ in batch], [])
        if done.fits is not None and done.fits < self._max_batch:
            log.warning("batch_reduced", batcher=self.name, size=done.fits, was=self._max_batch)
            self._max_batch = done.fits
        failed = [isinstance(each, ComputeError) for each in done.outcomes if each is not None]
        if failed:
            self.failing = all(failed)
        self._pump()  # before anything else: the model waits
        for size, seconds in done.passes:
            self.statistics.batches[size].add(seconds)
        if items := sum(size for size, _ in done.passes):
            rate = items / sum(seconds for _, seconds in done.passes)
            self._per_second = rate if self._per_second is None else (self._per_second + rate) / 2
        for place, outcome in zip(batch, done.outcomes, strict=True):
            self._resolve(place, outcome)

    def _resolve(self, place: Place[T, R], outcome: Outcome[R]) -> None:
        if isinstance(outcome, Exception):
            if place.fail(outcome):
                self.statistics.failed += 1
        elif outcome is not None and not place.outcome.done():
            place.outcome.set_result(outcome)
            self.statistics.computed += 1
            self.statistics.in_all.add(time.monotonic() - place.entered_at)

    def _until_free(self, waiting: int) -> timedelta:
        """Estimates when what waits now will have been computed."""
        rate = (self._per_second or 0.0) * len(self._computers)
        seconds = waiting / rate if rate else 1.0
        return timedelta(seconds=min(max(seconds, _SHORTEST_RETRY_S), _LONGEST_RETRY_S))
