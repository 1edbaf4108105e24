"""search_service.gathering: what gathers goes together, and is given up when nobody waits."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from search_service import searching
from search_service.gathering import SearchQueue
from service_kit import deadlines
from service_kit.errors import DeadlineError


class Elasticsearch:
    """Answers when a test says so.

    Attributes:
        sent: How many searches each request had that was sent.
        given_up: How many each had that was cancelled.
    """

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.given_up: list[int] = []
        self.may_answer = asyncio.Event()

    async def search(self, _cluster: Any, _revision: Any, query: Any) -> Any:
        return (await self._answer([query]))[0]

    async def search_all(self, _cluster: Any, searches: Any) -> list[Any]:
        return await self._answer([query for _, query in searches])

    async def _answer(self, queries: list[Any]) -> list[Any]:
        self.sent.append(len(queries))
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.given_up.append(len(queries))
            raise
        return [f"answer to {query.number}" for query in queries]


@pytest.fixture
def elasticsearch(monkeypatch: pytest.MonkeyPatch) -> Elasticsearch:
    fake = Elasticsearch()
    monkeypatch.setattr(searching, "search", fake.search)
    monkeypatch.setattr(searching, "search_all", fake.search_all)
    deadlines.begin(None)
    return fake


def ask(queue: SearchQueue, number: int) -> asyncio.Task[Any]:
    query: Any = SimpleNamespace(number=number, is_heavy=False)
    revision: Any = None
    return asyncio.create_task(queue.search(revision, query))


async def steps() -> None:
    """Lets everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def a_queue() -> SearchQueue:
    cluster: Any = None
    return SearchQueue(cluster, max_requests=1, max_searches=32)


async def under_way(queue: SearchQueue, elasticsearch: Elasticsearch) -> list[asyncio.Task[Any]]:
    """Three searches on their way in one request."""
    first = ask(queue, 0)
    await steps()
    three = [ask(queue, number) for number in (1, 2, 3)]
    await steps()
    first.cancel()  # makes room for them
    await steps()
    assert elasticsearch.sent == [1, 3]
    return three


async def test_a_request_is_given_up_when_all_its_callers_have_gone(
    elasticsearch: Elasticsearch,
) -> None:
    queue = a_queue()
    three = await under_way(queue, elasticsearch)

    for task in three:
        task.cancel()
    await steps()

    assert elasticsearch.given_up == [1, 3]
    elasticsearch.may_answer.set()
    assert await ask(queue, 4) == "answer to 4"


async def test_one_who_still_waits_gets_the_answer(elasticsearch: Elasticsearch) -> None:
    queue = a_queue()
    three = await under_way(queue, elasticsearch)

    for task in three[:2]:
        task.cancel()
    await steps()
    elasticsearch.may_answer.set()

    assert await three[2] == "answer to 3"
    assert elasticsearch.given_up == [1]


async def test_whoever_leaves_the_queue_is_not_searched_for(elasticsearch: Elasticsearch) -> None:
    queue = a_queue()
    first = ask(queue, 0)
    await steps()
    waiting = [ask(queue, number) for number in range(1, 11)]
    await steps()

    for task in waiting[:9]:
        task.cancel()
    await steps()
    elasticsearch.may_answer.set()
    await first

    assert await waiting[9] == "answer to 10"
    assert elasticsearch.sent == [1, 1]


async def test_nothing_is_searched_for_whose_time_is_over(elasticsearch: Elasticsearch) -> None:
    deadlines.begin(0)

    with pytest.raises(DeadlineError):
        await ask(a_queue(), 0)

    assert elasticsearch.sent == []


async def test_a_stop_ends_all_that_is_under_way(elasticsearch: Elasticsearch) -> None:
    queue = a_queue()
    three = await under_way(queue, elasticsearch)
    late = ask(queue, 4)
    await steps()

    await queue.stop()
    await steps()

    assert all(task.cancelled() for task in three)
    late.cancel()
    assert elasticsearch.sent == [1, 3]
