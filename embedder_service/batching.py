"""The queue in front of a model: what gathers while it computes becomes the next batch."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Generic, Self, TypeVar

import structlog

from embedder_service.errors import ComputeError, QueueFullError
from service_kit.errors import DeadlineError, ServiceError, StoppingError

log = structlog.get_logger()

T = TypeVar("T")
R = TypeVar("R")

_LONGEST_RETRY_S = 30.0
_SHORTEST_RETRY_S = 0.1


class Place(Generic[T, R]):
    """One input's place in the queue, from admission until it is computed or has left.

    Whoever takes a place must call `result` or `leave`. Leaving twice, or after the result,
    does nothing.
    """

    item: T

    def __init__(self, batcher: "Batcher[T, R]", size: int, bulk: bool, expires_at: float) -> None:
        self.size = size
        self.bulk = bulk
        self.expires_at = expires_at
        self.outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._batcher = batcher

    async def result(self, item: T) -> R:
        """Queues the item and waits for its result. Cancelling the caller frees the place.

        Raises:
            ServiceError: The item failed, its time was over, or the server stops.
        """
        try:
            if not self.outcome.done():
                self.item = item
                self._batcher._ready(self)
            return await self.outcome
        finally:
            self.leave()

    def leave(self) -> None:
        """Gives the place up; what has not been begun is never computed."""
        self.outcome.cancel()
        self._batcher._free(self)


class Batcher(Generic[T, R]):
    """Runs `compute` on whatever has gathered while it last ran.

    An idle server adds no wait; a busy one runs full batches. There is no timer. A batch is
    handed over ahead of time only if it is full: waiting could not make it better.

    Places are of two kinds. Those of calls are refused when `max_queue` are held. Those of
    streams ("bulk") are waited for, and few: two batches' worth keeps the model busy, and a
    caller behind them waits no longer than that. Calls go first, but where both wait, bulk gets
    a quarter of each batch.

    All state changes happen on the event loop; only `compute` runs elsewhere. Leaving the
    `async with` block resolves every future that is left.

    Args:
        name: What is batched, for the log.
        compute: Maps items to as many results, in order. It may block and needs no locks: one
            thread runs it. Its ServiceErrors are the item's own; anything else is a bug.
        thread: Where it runs. Batchers that share a device share its thread.
        max_batch: Most items handed to one call of `compute`.
        max_queue: Most places of calls.
        max_bytes: Most bytes that all places together say they hold.
    """

    def __init__(
        self,
        name: str,
        compute: Callable[[list[T]], Iterable[R]],
        thread: Executor,
        *,
        max_batch: int,
        max_queue: int,
        max_bytes: int,
    ) -> None:
        self.name = name
        self._compute = compute
        self._thread = thread
        self._max_batch = max_batch
        self._most = {False: max_queue, True: 2 * max_batch}
        self._max_bytes = max_bytes
        # Dicts keep the order of arrival and let any place leave at once.
        self._held: dict[bool, dict[Place[T, R], None]] = {False: {}, True: {}}
        self._waiting: dict[bool, dict[Place[T, R], None]] = {False: {}, True: {}}
        self._bytes = 0
        self._for_room: deque[tuple[int, asyncio.Future[Place[T, R]]]] = deque()
        self._running: set[asyncio.Future[list[R | Exception | None]]] = set()
        self._pump_is_due = False
        self._stopping = False
        self._stop_later: asyncio.TimerHandle | None = None
        self._per_second: float | None = None
        self.failing = False
        """Every item of the last batch made `compute` fail: it is broken, not they."""

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
        if self._stopping:
            raise StoppingError
        if len(self._held[False]) + len(sizes) > self._most[False] or not self._fits(sum(sizes)):
            waiting = sum(map(len, self._held.values()))
            raise QueueFullError(waiting, self._until_free(waiting))
        return [self._take(size, False, expires_at) for size in sizes]

    async def enter_bulk(self, size: int) -> Place[T, R]:
        """Waits, in turn, until there is room for an input of a stream.

        Raises:
            StoppingError: The server stops.
        """
        if self._stopping:
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
                turn.set_exception(StoppingError())
        self._for_room.clear()
        for lane in self._held.values():
            for place in list(lane):
                _fail(place, StoppingError())
                self._free(place)

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

    def _free(self, place: Place[T, R]) -> None:
        self._waiting[place.bulk].pop(place, None)
        if place in self._held[place.bulk]:
            del self._held[place.bulk][place]
            self._bytes -= place.size
            self._admit()

    def _ready(self, place: Place[T, R]) -> None:
        self._waiting[place.bulk][place] = None
        if not self._pump_is_due:  # once this turn of the loop is over: others may come in it
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Starts a batch if the model is free, and a second one ahead if it is full."""
        self._pump_is_due = False
        while waiting := len(self._waiting[False]) + len(self._waiting[True]):
            if len(self._running) > (1 if waiting >= self._max_batch else 0):
                return
            if batch := self._next_batch():
                self._start(batch)

    def _next_batch(self) -> list[Place[T, R]]:
        calls, bulk = self._waiting[False], self._waiting[True]
        for_bulk = min(len(bulk), max(1, self._max_batch // 4) if self._max_batch > 1 else 0)
        batch = list(calls)[: self._max_batch - for_bulk]
        batch += list(bulk)[: self._max_batch - len(batch)]
        now = time.monotonic()
        for place in batch:
            if place.expires_at <= now:
                _fail(place, DeadlineError("the time was over before the input was computed"))
            self._free(place)
        return [place for place in batch if not place.outcome.done()]

    def _start(self, batch: list[Place[T, R]]) -> None:
        try:
            running = asyncio.get_running_loop().run_in_executor(
                self._thread, self._outcomes, batch
            )
        except RuntimeError:  # the thread is gone
            for place in batch:
                _fail(place, StoppingError())
            return
        self._running.add(running)
        running.add_done_callback(partial(self._finish, batch))

    def _finish(
        self, batch: list[Place[T, R]], running: "asyncio.Future[list[R | Exception | None]]"
    ) -> None:
        self._running.discard(running)
        try:
            outcomes = running.result()
        except BaseException as error:  # not what `compute` raised, but the machinery itself
            log.error("batch_lost", batcher=self.name, exc_info=error)
            outcomes = [ComputeError() for _ in batch]
        for place, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                _fail(place, outcome)
            elif outcome is not None and not place.outcome.done():
                place.outcome.set_result(outcome)
        failed = [isinstance(outcome, ComputeError) for outcome in outcomes if outcome is not None]
        if failed:
            self.failing = all(failed)
        self._pump()

    def _outcomes(self, batch: list[Place[T, R]]) -> list[R | Exception | None]:
        """Computes a batch, in the model's thread. None for those that have left meanwhile."""
        wanted = [i for i, place in enumerate(batch) if not place.outcome.done()]
        results: list[R | Exception | None] = [None] * len(batch)
        began = time.perf_counter()
        for i, outcome in zip(wanted, self._isolate([batch[i].item for i in wanted]), strict=True):
            results[i] = outcome
        self._measure(len(wanted), time.perf_counter() - began)
        return results

    def _isolate(self, items: list[T]) -> list[R | Exception]:
        """Computes items; halves them on failure until the culprit is alone."""
        if not items:
            return []
        try:
            results = list(self._compute(items))
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results for {len(items)} items")
        except Exception as error:
            if len(items) == 1:
                if isinstance(error, ServiceError):
                    return [error]
                log.exception("compute_failed", batcher=self.name)
                return [ComputeError()]
            middle = len(items) // 2
            return self._isolate(items[:middle]) + self._isolate(items[middle:])
        return [*results]

    def _measure(self, items: int, seconds: float) -> None:
        if items and seconds > 0:
            now = items / seconds
            self._per_second = now if self._per_second is None else (self._per_second + now) / 2

    def _until_free(self, waiting: int) -> timedelta:
        """Estimates when what waits now will have been computed."""
        seconds = waiting / self._per_second if self._per_second else 1.0
        return timedelta(seconds=min(max(seconds, _SHORTEST_RETRY_S), _LONGEST_RETRY_S))


def _fail(place: Place[T, R], error: Exception) -> None:
    if not place.outcome.done():
        place.outcome.set_exception(error)
        place.outcome.exception()  # seen: the place's owner may never come to ask
