"""`collect urls`: a list of URLs, fetched at full speed, each host within its bounds."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import aiohttp

from fetch_kit.bodies import ENCODINGS, read_body
from fetch_kit.errors import FetchRefusal
from fetch_kit.following import following, retry_after_s
from fetch_kit.guard import Guard
from imagesearch_collect import refusals
from imagesearch_collect.collection import Answer, Collection
from imagesearch_collect.host_queues import HostQueues
from imagesearch_collect.image_rules import check_type
from imagesearch_collect.outcomes import PASSING, Reason, RefusedError
from imagesearch_collect.retries import RetryBudget
from imagesearch_collect.robots_directives import from_headers
from imagesearch_collect.url_lists import Entry, ListError

MAX_REST_S = 60.0
"""Longest that a host is left alone before it is asked again."""

HOST_FAILURES = 10
"""After so many failures in a row that may pass, a host is not asked any more in this run."""

_BATCH = 256


@dataclass(frozen=True)
class UrlsOptions:
    """How a list is fetched.

    Attributes:
        guard: Where may be connected to.
        user_agent: How it introduces itself.
        concurrency: Most requests at a time.
        per_host: Most requests to one host at a time.
        delay_s: Least time between two requests to one host.
        timeout_s: Longest for one request, redirects included.
        retries: How often a request that failed in passing is tried again.
    """

    guard: Guard
    user_agent: str
    concurrency: int = 32
    per_host: int = 4
    delay_s: float = 0.1
    timeout_s: float = 30.0
    retries: int = 2


@dataclass
class _Wanted:
    url: str
    tries: int = 0


class UrlsFetch:
    """One run over a list. `run` it; `stop` it from elsewhere.

    Args:
        entries: The list; read in a thread, a little ahead of what is fetched.
        options: How it is fetched.
        collection: Where images go.
        listed: Where given, nothing is fetched; URLs that would be are told to this.
    """

    def __init__(
        self,
        entries: Iterator[Entry],
        options: UrlsOptions,
        collection: Collection,
        listed: Callable[[str], None] | None = None,
    ) -> None:
        self._entries = entries
        self._options = options
        self._collection = collection
        self._listed = listed
        self._queues = HostQueues[_Wanted](options.per_host, options.delay_s)
        self._budget = RetryBudget()
        self._failures: Counter[str] = Counter()
        self._stopping = False
        self._list_error: ListError | None = None

    async def run(self) -> str:
        """Fetches the list to its end; gives "finished", or "shutdown" if it was stopped.

        Raises:
            ListError: The list cannot be read. What was read until then has been fetched.
        """
        options = self._options
        headers = {
            "Accept": "image/*",
            "Accept-Encoding": ENCODINGS,
            "User-Agent": options.user_agent,
        }
        async with options.guard.session(headers, limit=options.concurrency) as session:
            work = [self._read(), *(self._fetch_all(session) for _ in range(options.concurrency))]
            tasks = [asyncio.create_task(each) for each in work]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if self._list_error is not None:
            raise self._list_error
        return "shutdown" if self._stopping else "finished"

    async def stop(self) -> None:
        """Begins nothing more; `run` ends when what is in flight has come."""
        self._stopping = True
        await self._queues.clear()

    async def _read(self) -> None:
        await self._read_to_the_end()
        await self._queues.close()

    async def _read_to_the_end(self) -> None:
        while not self._stopping and self._list_error is None:
            batch = await asyncio.to_thread(self._next_batch)
            if not batch:
                return
            for entry in batch:
                if self._stopping:
                    return
                await self._read_one(entry)

    def _next_batch(self) -> list[Entry]:
        batch = []
        try:
            for entry in itertools.islice(self._entries, _BATCH):
                batch.append(entry)  # noqa: PERF402 - what was read before an error counts
        except ListError as error:
            self._list_error = error
        return batch

    async def _read_one(self, entry: Entry) -> None:
        if not entry.url:
            name = f"line {entry.line}"
            self._collection.refuse_unasked(name, entry.place, Reason.URL_INVALID, "has no URL")
            return
        try:
            host = self._options.guard.check(entry.url).raw_host or ""
        except FetchRefusal as error:
            refused = refusals.of_error(error)
            assert refused is not None
            self._collection.refuse_unasked(entry.url, entry.place, refused.reason, str(refused))
            return
        if self._listed is not None:
            if not self._collection.has(entry.url):
                self._listed(entry.url)
        elif self._collection.wants(entry.url, entry.place):
            await self._queues.put(host, _Wanted(entry.url))

    async def _fetch_all(self, session: aiohttp.ClientSession) -> None:
        while taken := await self._queues.take():
            host, wanted = taken
            try:
                await self._fetch(session, host, wanted)
            finally:
                await self._queues.done(host)

    async def _fetch(self, session: aiohttp.ClientSession, host: str, wanted: _Wanted) -> None:
        if self._failures[host] >= HOST_FAILURES:
            what = f"was not asked for: its host failed {HOST_FAILURES} times in a row"
            self._collection.refuse(wanted.url, Reason.UNREACHABLE, what)
            return
        try:
            answer = await self._get(session, wanted.url)
        except Exception as error:
            refused = refusals.of_error(error)
            if refused is None:
                raise
            await self._refused(host, wanted, refused)
            return
        del self._failures[host]
        if answer is None:
            self._collection.unchanged(wanted.url)
        else:
            await self._collection.keep(wanted.url, answer)

    async def _refused(self, host: str, wanted: _Wanted, refused: RefusedError) -> None:
        if refused.reason not in PASSING:
            del self._failures[host]
        elif wanted.tries < self._options.retries and not self._budget.spent and not self._stopping:
            self._budget.retried()
            wanted.tries += 1
            rest = refused.retry_after_s or random.uniform(0.5, 1.0) * 2**wanted.tries
            await self._queues.put_back(host, wanted, min(rest, MAX_REST_S))
            return
        else:
            self._failures[host] += 1
        self._collection.refuse(wanted.url, refused.reason, str(refused))

    async def _get(self, session: aiohttp.ClientSession, url: str) -> Answer | None:
        """Gets an image; None: it is the one that is there."""
        guard, conditions = self._options.guard, self._collection.conditions(url)
        async with (
            asyncio.timeout(self._options.timeout_s),
            following(session, guard, url, conditions) as answer,
        ):
            self._budget.answered()
            if answer.status == 304 and conditions:
                return None
            if answer.status != 200:
                raise refusals.of_status(answer.status, retry_after_s(answer))
            if not from_headers(answer.headers.getall("X-Robots-Tag", [])).images:
                raise RefusedError(Reason.NOINDEX, "asks robots not to keep it (X-Robots-Tag)")
            check_type(answer.headers.get("Content-Type", ""))
            data = await read_body(answer, self._collection.rules.max_bytes, packed=True)
            redirected = answer.url != guard.check(url)
            return Answer(data, str(answer.url) if redirected else url, answer.headers)
