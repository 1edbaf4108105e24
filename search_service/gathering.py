"""Searches that come while others are under way go to Elasticsearch together."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from search_service import searching
from search_service.cluster import Cluster
from search_service.mappings import Revision
from search_service.queries import KnnSearch
from search_service.searching import Answer
from service_kit import deadlines, request_context, tracing

_WORTH_A_REQUEST = 8
"""Searches that are worth a request of their own while another of several is under way."""


@dataclass
class _Waiting:
    revision: Revision
    query: KnnSearch
    answer: asyncio.Future[Answer]
    waiting: tracing.Waiting | None = field(default_factory=lambda: tracing.waiting("queue"))


class SearchQueue:
    """Makes searches, a bounded number of requests at a time.

    A search is sent at once while there is room; under load, whatever has gathered goes as one
    `_msearch`, which costs both sides less, and the larger the less. Heavy searches go alone:
    nobody waits for them. A request is given up when none of its callers waits any more.

    Args:
        cluster: Where to.
        max_requests: Requests under way.
        max_searches: Most searches in one.
    """

    def __init__(self, cluster: Cluster, *, max_requests: int, max_searches: int) -> None:
        self._cluster = cluster
        self._max_requests = max_requests
        self._max_searches = max_searches
        self._running = 0
        self._of_several = 0
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[list[Answer | Exception]]] = set()
        self._stopped = False

    async def search(self, revision: Revision, query: KnnSearch) -> Answer:
        """Searches. Cancelling it takes it out of the queue.

        Raises:
            ServiceError: As `searching.search`.
        """
        deadlines.check("the search was made")
        if query.is_heavy:
            return await searching.search(self._cluster, revision, query)
        if self._has_room(1):
            self._running += 1
            try:
                return await searching.search(self._cluster, revision, query)
            finally:
                self._running -= 1
                self._pump()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        entry = _Waiting(revision, query, answer)
        self._waiting.append(entry)
        try:
            return await answer
        finally:
            if entry.waiting is not None:
                entry.waiting.end()

    async def stop(self) -> None:
        """Ends what is under way."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _has_room(self, searches: int) -> bool:
        """Whether a request with so many searches may be sent now."""
        if self._running >= self._max_requests:
            return False
        return not self._of_several or searches >= _WORTH_A_REQUEST

    def _pump(self) -> None:
        while self._has_room(len(self._waiting)) and (batch := self._take()):
            self._running += 1
            self._of_several += len(batch) > 1
            task = asyncio.create_task(self._send(batch))
            self._tasks.add(task)
            task.add_done_callback(partial(self._end, batch))
            for entry in batch:
                entry.answer.add_done_callback(partial(_give_up, task, batch))

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._max_searches:
            entry = self._waiting.popleft()
            if not entry.answer.done():  # done: its caller has gone
                batch.append(entry)
        return batch

    async def _send(self, batch: list[_Waiting]) -> list[Answer | Exception]:
        # It is of many calls, each of which waits in its own time.
        deadlines.begin(None)
        request_context.leave()
        traced = tracing.batch(
            "search together",
            [entry.waiting for entry in batch],
            {"imagesearch.batch_size": len(batch)},
        )
        traced.enter()
        try:
            pairs = [(entry.revision, entry.query) for entry in batch]
            return await searching.search_all(self._cluster, pairs)
        except Exception as error:
            return [error] * len(batch)
        finally:
            traced.end()

    def _end(self, batch: list[_Waiting], task: asyncio.Task[list[Answer | Exception]]) -> None:
        self._tasks.discard(task)
        self._running -= 1
        self._of_several -= len(batch) > 1
        if not self._stopped:
            self._pump()  # before anything else: Elasticsearch waits
        if task.cancelled():
            for entry in batch:
                entry.answer.cancel()
            return
        for entry, answer in zip(batch, task.result(), strict=True):
            if entry.answer.done():
                continue
            if isinstance(answer, Exception):
                entry.answer.set_exception(answer)
            else:
                entry.answer.set_result(answer)


def _give_up(task: asyncio.Task[Any], batch: list[_Waiting], _answer: object) -> None:
    """Ends a request, and Elasticsearch's work on it, if nobody waits for any of its answers."""
    if all(entry.answer.cancelled() for entry in batch):
        task.cancel()
