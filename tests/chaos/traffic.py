"""Searches whose right answers are known: in bursts, as many as possible, or at a fixed rate."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from imagesearch_client import AsyncClient, ImageSearchError, upload
from tests.helpers import a_picture, ids_of

ALLOWED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""What a caller may see of anything that breaks behind the gateway."""

INDEX = "chaos"

_PICTURES = [a_picture(seed, side=64) for seed in range(24)]
_TEXTS = ("a red circle", "three green rings", "ein blaues Quadrat", "two yellow stars")
_K = 5


@dataclass
class Outcomes:
    """How calls ended.

    Attributes:
        right: Calls with the right answer.
        wrong: Answers that were not.
        errors: Statuses, and how often.
        messages: Of the errors.
        seconds: That each call took.
    """

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    errors: Counter[grpc.StatusCode] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def longest_s(self) -> float:
        return max(self.seconds, default=0.0)

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def strange(self) -> int:
        """Calls that ended as no fault may make them end."""
        return len(self.wrong) + sum(n for code, n in self.errors.items() if code not in ALLOWED)

    def __str__(self) -> str:
        codes = {code.name: count for code, count in self.errors.items()}
        return f"right {self.right}, wrong {self.wrong[:3]}, {codes} {dict(self.messages)}"


class Questions:
    """Searches in an index that nobody changes."""

    def __init__(self) -> None:
        self._answers: list[list[str]] = []

    async def learn(self, client: AsyncClient) -> None:
        """Fills the index; asks every question once, while all is well."""
        uploads = [upload(content) for content in _PICTURES]
        async for outcome in client.index_images(uploads, index=INDEX):
            assert outcome.error is None, outcome.error
        self._answers = [await self._found(client, n, 30) for n in range(self._count)]
        assert all(len(found) == _K for found in self._answers)

    async def ask(
        self, client: AsyncClient, number: int, timeout_s: float, outcomes: Outcomes
    ) -> None:
        """Asks one of them, and notes how it ends."""
        number %= self._count
        began = time.perf_counter()
        try:
            found = await self._found(client, number, timeout_s)
        except ImageSearchError as error:
            outcomes.errors[error.code] += 1
            outcomes.messages[error.message] += 1
        except Exception as error:  # anything else is as wrong as an answer can be
            outcomes.wrong.append(f"question {number}: {error!r}")
        else:
            if found == self._answers[number]:
                outcomes.right += 1
            else:
                outcomes.wrong.append(f"question {number}: {found}")
        outcomes.seconds.append(time.perf_counter() - began)

    async def until_right(self, client: AsyncClient, timeout_s: float) -> float:
        """Asks until as many in a row are right as there are questions; seconds it took."""
        began = time.monotonic()
        in_a_row = 0
        while in_a_row < self._count:
            outcomes = Outcomes()
            await self.ask(client, in_a_row, 5.0, outcomes)
            assert not outcomes.strange, outcomes
            in_a_row = in_a_row + 1 if outcomes.right else 0
            took_s = time.monotonic() - began
            assert took_s < timeout_s, f"not well again after {took_s:.1f} s: {outcomes}"
            if not outcomes.right:
                await asyncio.sleep(0.1)
        return time.monotonic() - began

    @property
    def _count(self) -> int:
        return 2 * len(_TEXTS)

    async def _found(self, client: AsyncClient, number: int, timeout_s: float) -> list[str]:
        if number % 2:
            text = _TEXTS[number // 2]
            by_text = await client.search_by_text(text, index=INDEX, k=_K, timeout=timeout_s)
            return ids_of(by_text.results)
        by_image = await client.search_by_image(
            _PICTURES[number], index=INDEX, k=_K, timeout=timeout_s
        )
        return ids_of(by_image.results)


async def burst(
    client: AsyncClient, questions: Questions, count: int, at_once: int, timeout_s: float
) -> Outcomes:
    """Makes so many calls, so many of them at a time."""
    outcomes = Outcomes()
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await questions.ask(client, number, timeout_s, outcomes)

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return outcomes


async def closed_loop(client: AsyncClient, questions: Questions, seconds: float) -> float:
    """Asks as much as is answered, 16 at a time; right answers a second."""
    outcomes = Outcomes()
    began = time.perf_counter()

    async def caller(number: int) -> None:
        while time.perf_counter() < began + seconds:
            await questions.ask(client, number, 30.0, outcomes)
            number += 1

    await asyncio.gather(*(caller(number) for number in range(16)))
    assert not outcomes.wrong, outcomes
    return outcomes.right / (time.perf_counter() - began)


@asynccontextmanager
async def traffic(
    client: AsyncClient, questions: Questions, per_second: float, timeout_s: float
) -> AsyncIterator[Outcomes]:
    """Asks at a fixed rate, answered or not, while the block runs; then waits for the answers."""
    outcomes = Outcomes()
    calls: set[asyncio.Task[None]] = set()

    async def send() -> None:
        began = time.perf_counter()
        number = 0
        while True:
            number += 1
            await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
            call = asyncio.create_task(questions.ask(client, number, timeout_s, outcomes))
            calls.add(call)
            call.add_done_callback(calls.discard)

    sending = asyncio.create_task(send())
    try:
        yield outcomes
    finally:
        sending.cancel()
        await asyncio.gather(sending, *calls, return_exceptions=True)
