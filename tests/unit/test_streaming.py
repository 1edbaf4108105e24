"""service_kit.streaming: answers as they get done, a bounded number at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from service_kit import streaming
from service_kit.errors import IdleError, StoppingError
from tests.helpers import each


class Work:
    """Takes as long as a test says."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.may_end: dict[int, asyncio.Event] = {}

    async def begin(self, request: int) -> asyncio.Task[int]:
        self.begun.append(request)
        return asyncio.create_task(self._answer(request))

    async def _answer(self, request: int) -> int:
        try:
            if request in self.may_end:
                await self.may_end[request].wait()
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        return request * 10


def answers(work: Work, requests: AsyncIterator[int], **options: Any) -> Any:
    defaults = {"most": 3, "stopping": asyncio.Event(), "idle_s": 60}
    return streaming.answers(requests, work.begin, **{**defaults, **options})


async def gather(stream: AsyncIterator[int], into: list[int]) -> None:
    """Keeps what came before an error."""
    async for answer in stream:
        into.append(answer)  # noqa: PERF401 a comprehension loses it


async def test_everything_is_answered() -> None:
    work = Work()

    got = [answer async for answer in answers(work, each(range(1, 50)))]

    assert sorted(got) == list(range(10, 500, 10))


async def test_no_requests_no_answers() -> None:
    assert [answer async for answer in answers(Work(), each(()))] == []


async def test_a_slow_one_holds_nobody_up() -> None:
    work = Work()
    work.may_end[1] = asyncio.Event()
    stream = answers(work, each(range(1, 6)))
    first = [await anext(stream) for _ in range(4)]
    work.may_end[1].set()

    assert sorted(first) == [20, 30, 40, 50]
    assert [answer async for answer in stream] == [10]


async def test_reading_stops_while_the_answers_are_not_taken() -> None:
    work = Work()
    stream = answers(work, each(range(1, 100)), most=3)
    await anext(stream)
    await asyncio.sleep(0.02)

    assert len(work.begun) == 3  # no fourth before someone comes for the second answer
    await stream.aclose()


async def test_who_leaves_cancels_the_work() -> None:
    work = Work()
    work.may_end = {2: asyncio.Event(), 3: asyncio.Event()}
    async with aclosing(answers(work, each([1, 2, 3, 4]))) as stream:
        assert await anext(stream) == 10
        await asyncio.sleep(0.01)

    assert sorted(work.cancelled) == [2, 3]


async def test_an_error_of_the_requests_comes_after_the_answers() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("the sender is gone")

    got: list[int] = []
    with pytest.raises(ConnectionError):
        await gather(answers(Work(), broken()), got)

    assert got == [10]


async def test_a_stop_answers_what_was_read_and_says_that_there_was_more() -> None:
    async def endless() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.Event().wait()

    stopping = asyncio.Event()
    got: list[int] = []
    asyncio.get_running_loop().call_later(0.05, stopping.set)
    with pytest.raises(StoppingError):
        await gather(answers(Work(), endless(), stopping=stopping), got)

    assert sorted(got) == [10, 20]


async def test_a_stream_on_which_nothing_comes_ends() -> None:
    got: list[int] = []

    async def silent() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)

    with pytest.raises(IdleError):
        await gather(answers(Work(), silent(), idle_s=0.05), got)

    assert got == [10]


async def test_a_stream_that_waits_for_its_answers_is_not_idle() -> None:
    work = Work()
    work.may_end[1] = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, work.may_end[1].set)
    got: list[int] = []

    async def patient() -> AsyncIterator[int]:
        yield 1
        await work.may_end[1].wait()
        yield 2

    await gather(answers(work, patient(), idle_s=0.05), got)

    assert got == [10, 20]
