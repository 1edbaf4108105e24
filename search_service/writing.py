"""Gathers documents of all callers into bulk requests, without a timer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from search_service.upserting import Outcome, Result, Upsert
from service_kit import request_context, tracing
from service_kit.errors import StoppingError

Write = Callable[[str, Sequence[Upsert], str], Awaitable[list[Result]]]
"""Writes documents to an index (its name first, the refresh parameter last)."""


@dataclass
class _Entry:
    upsert: Upsert
    result: asyncio.Future[Outcome]
    waiting: tracing.Waiting | None


class Writer:
    """Writes whatever has gathered while the last bulk requests were under way.

    One document alone is written at once; under load requests are full.

    Args:
        write: Writes one bulk request's documents; called in no call's context, so it must
            bound its own time.
        max_documents: Most documents in one request.
        max_bytes: About the most bytes in one request.
        max_bulks: Requests under way for one index.
    """

    def __init__(
        self,
        write: Write,
        *,
        max_documents: int,
        max_bytes: int,
        max_bulks: int,
    ) -> None:
        self._write = write
        self._max_documents = max_documents
        self._max_bytes = max_bytes
        self._max_bulks = max_bulks
        self._waiting: dict[tuple[str, str], deque[_Entry]] = {}
        self._running: dict[tuple[str, str], int] = {}
        self._sent: set[tuple[tuple[str, str], str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(
        self, index: str, upsert: Upsert, refresh: str, waiting: tracing.Waiting | None = None
    ) -> asyncio.Future[Outcome]:
        """Queues a document. Cancelling the future takes it out again, unless it is on its way.

        Args:
            index: Where to.
            upsert: The document.
            refresh: Elasticsearch's `refresh` parameter.
            waiting: The wait for it, where that is traced; several documents may share one.

        Returns:
            What became of it; or a ServiceError: it is not written, or nobody knows, and it is
            safe to submit it again.
        """
        key = (index, refresh)
        entry = _Entry(upsert, asyncio.get_running_loop().create_future(), waiting)
        self._waiting.setdefault(key, deque()).append(entry)
        if self._running.get(key, 0) < self._max_bulks:
            self._running[key] = self._running.get(key, 0) + 1
            task = asyncio.create_task(self._drain(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return entry.result

    async def _drain(self, key: tuple[str, str]) -> None:
        request_context.leave()  # a bulk request is of many calls
        try:
            await asyncio.sleep(0)  # what arrives in the same moment goes together
            while batch := self._take(key):
                ids = {(key, entry.upsert.image_id) for entry in batch}
                self._sent |= ids
                traced = tracing.batch(
                    "write together",
                    [entry.waiting for entry in batch],
                    {"imagesearch.batch_size": len(batch)},
                )
                traced.enter()
                try:
                    await self._resolve(key, batch)
                finally:
                    traced.end()
                    self._sent -= ids
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]
                for entry in self._waiting.pop(key, ()):  # only if this task was cancelled
                    entry.result.cancel()

    def _take(self, key: tuple[str, str]) -> list[_Entry]:
        batch: list[_Entry] = []
        put_off: list[_Entry] = []
        size = 0
        waiting = self._waiting.get(key, deque())
        while waiting and len(batch) < self._max_documents:
            if batch and size + waiting[0].upsert.size > self._max_bytes:
                break
            entry = waiting.popleft()
            if (key, entry.upsert.image_id) in self._sent:
                put_off.append(entry)  # for whoever has sent it, or the two would conflict
            elif not entry.result.done():  # done: its caller has gone
                batch.append(entry)
                size += entry.upsert.size
        waiting.extendleft(reversed(put_off))
        return batch

    async def _resolve(self, key: tuple[str, str], batch: list[_Entry]) -> None:
        index, refresh = key
        results: list[Result]
        try:
            results = await self._write(index, [entry.upsert for entry in batch], refresh)
        except asyncio.CancelledError:
            results = [StoppingError()] * len(batch)
        except Exception as error:
            results = [error] * len(batch)
        for entry, result in zip(batch, results, strict=True):
            if entry.result.done():
                continue
            if isinstance(result, Exception):
                entry.result.set_exception(result)
            else:
                entry.result.set_result(result)

    async def stop(self) -> None:
        """Ends what is still under way; its callers get StoppingError."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
