"""embedder_service.batching: fairness, bounds, and one bad input alone. No model is needed."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from embedder_service.batching import Batcher
from embedder_service.computing import BatchTooLargeError, Computer
from embedder_service.errors import ComputeError, QueueFullError
from embedder_service.place import Place
from service_kit.errors import DeadlineError, InvalidRequestError, StoppingError


class Model:
    """Doubles numbers, as slowly as a test wants, and remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(list(items))
        assert self.may_go_on.wait(10)
        if 13 in items:
            raise RuntimeError("unlucky")
        if 14 in items:
            raise InvalidRequestError([("number", "is 14")])
        return [2 * item for item in items]


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.may_go_on.set()


@asynccontextmanager
async def batching(
    model: Callable[[list[int]], list[int]],
    max_batch: int = 4,
    max_queue: int = 100,
    max_bytes: int = 1000,
    ahead: bool = False,
) -> AsyncIterator[Batcher[int, int]]:
    with ThreadPoolExecutor(1) as thread:
        async with Batcher(
            "test",
            [Computer("test", model, thread)],
            max_batch=max_batch,
            max_queue=max_queue,
            max_bytes=max_bytes,
            ahead=ahead,
        ) as batcher:
            yield batcher


def ask(batcher: Batcher[int, int], *items: int) -> list[asyncio.Task[int]]:
    """Queues the items of one call."""
    places = batcher.enter([1] * len(items))
    return [asyncio.create_task(p.result(i)) for p, i in zip(places, items, strict=True)]


async def begun(model: Model, batches: int = 1) -> None:
    """Waits until the model has been given so many batches."""
    end = time.monotonic() + 10
    while len(model.batches) < batches:
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


async def test_each_caller_gets_its_own_result(model: Model) -> None:
    async with batching(model) as batcher:
        calls = [ask(batcher, n) for n in range(100, 150)]

        assert await asyncio.gather(*(task for call in calls for task in call)) == list(
            range(200, 300, 2)
        )


async def test_what_gathers_while_the_model_computes_is_one_batch(model: Model) -> None:
    async with batching(model) as batcher:
        model.may_go_on.clear()
        first = ask(batcher, 0)
        await begun(model)
        rest = [*ask(batcher, 1), *ask(batcher, 2), *ask(batcher, 3)]
        await asyncio.sleep(0.01)
        model.may_go_on.set()
        await asyncio.gather(*first, *rest)

    assert model.batches == [[0], [1, 2, 3]]


async def test_no_batch_is_larger_than_allowed(model: Model) -> None:
    async with batching(model) as batcher:
        await asyncio.gather(*ask(batcher, *range(15, 45)))

    assert max(map(len, model.batches)) == 4
    assert sorted(n for batch in model.batches for n in batch) == list(range(15, 45))


@pytest.mark.parametrize(("bad", "error"), [(13, ComputeError), (14, InvalidRequestError)])
async def test_an_input_that_fails_costs_no_neighbor(
    model: Model, bad: int, error: type[Exception]
) -> None:
    async with batching(model, max_batch=8) as batcher:
        results = await asyncio.gather(*ask(batcher, 1, 2, bad, 4, 5), return_exceptions=True)

        assert isinstance(results.pop(2), error)
        assert results == [2, 4, 8, 10]
        assert not batcher.failing


async def test_a_model_that_always_fails_is_noticed_and_forgiven(model: Model) -> None:
    async with batching(model) as batcher:
        await asyncio.gather(*ask(batcher, 13), return_exceptions=True)
        assert batcher.failing

        await asyncio.gather(*ask(batcher, 1))
        assert not batcher.failing


async def test_a_model_that_loses_results_is_a_bug_not_a_mixup(model: Model) -> None:
    async with batching(lambda items: [2 * item for item in items if item != 3]) as batcher:
        results = await asyncio.gather(*ask(batcher, 1, 3, 5), return_exceptions=True)

        assert results[0] == 2
        assert isinstance(results[1], ComputeError)
        assert results[2] == 10


async def test_calls_beyond_the_bound_are_refused_whole(model: Model) -> None:
    async with batching(model, max_queue=5) as batcher:
        model.may_go_on.clear()
        waiting = ask(batcher, 1, 2, 3, 4)

        with pytest.raises(QueueFullError) as caught:
            batcher.enter([1, 1])

        assert caught.value.retry_after.total_seconds() > 0
        waiting += ask(batcher, 5)  # one still fits
        model.may_go_on.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6, 8, 10]
        assert await asyncio.gather(*ask(batcher, 1, 2, 3, 4, 5)) == [2, 4, 6, 8, 10]


async def test_bytes_are_bounded_but_something_large_goes_alone(model: Model) -> None:
    async with batching(model, max_bytes=10) as batcher:
        (large,) = batcher.enter([50])
        with pytest.raises(QueueFullError):
            batcher.enter([1])

        assert await large.result(1) == 2
        batcher.enter([10])[0].leave()


async def test_who_leaves_frees_the_place_and_is_not_computed(model: Model) -> None:
    async with batching(model, max_queue=3) as batcher:
        model.may_go_on.clear()
        (first,) = ask(batcher, 1)
        await begun(model)
        gone = ask(batcher, 2, 3, 4)  # the first one has its batch: its place is free
        await asyncio.sleep(0.01)
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        stays = ask(batcher, 5, 6, 7)
        model.may_go_on.set()

        assert await asyncio.gather(first, *stays) == [2, 10, 12, 14]
    assert model.batches == [[1], [5, 6, 7]]


async def test_what_nobody_waits_for_any_more_is_not_computed(model: Model) -> None:
    async with batching(model) as batcher:
        model.may_go_on.clear()
        (first,) = ask(batcher, 1)
        await begun(model)
        (place,) = batcher.enter([1], expires_at=time.monotonic() + 0.01)
        late = asyncio.create_task(place.result(2))
        await asyncio.sleep(0.02)
        model.may_go_on.set()

        with pytest.raises(DeadlineError):
            await late
        assert await first == 2
    assert model.batches == [[1]]


async def test_calls_go_before_bulk_and_bulk_still_gets_on(model: Model) -> None:
    async with batching(model) as batcher:
        model.may_go_on.clear()
        first = ask(batcher, 0)
        await begun(model)
        places = [await batcher.enter_bulk(1) for _ in range(8)]
        bulk = [asyncio.create_task(p.result(100 + n)) for n, p in enumerate(places)]
        calls = ask(batcher, *range(1, 7))
        await asyncio.sleep(0.01)
        model.may_go_on.set()
        await asyncio.gather(*first, *bulk, *calls)

    assert model.batches[:4] == [
        [0],
        [1, 2, 3, 100],
        [4, 5, 6, 101],
        [102, 103, 104, 105],
    ]


async def test_bulk_waits_its_turn_instead_of_being_refused(model: Model) -> None:
    async with batching(model) as batcher:
        held = [await batcher.enter_bulk(1) for _ in range(8)]
        turns = [asyncio.create_task(batcher.enter_bulk(1)) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert not any(turn.done() for turn in turns)
        turns[0].cancel()

        held[0].leave()

        place = await asyncio.wait_for(turns[1], 5)
        assert isinstance(place, Place)
        assert not turns[2].done()
        turns[2].cancel()


async def test_stopping_resolves_everyone(model: Model) -> None:
    async with batching(model) as batcher:
        model.may_go_on.clear()
        running = ask(batcher, 1)
        await begun(model)
        waiting = ask(batcher, 2)
        held = [await batcher.enter_bulk(1) for _ in range(8)]
        turn = asyncio.create_task(batcher.enter_bulk(1))
        await asyncio.sleep(0.01)
        batcher.stop()
        model.may_go_on.set()
        results = await asyncio.gather(*running, *waiting, turn, return_exceptions=True)

        assert results[0] == 2
        assert [type(result) for result in results[1:]] == [StoppingError, StoppingError]
        with pytest.raises(StoppingError):
            batcher.enter([1])
        with pytest.raises(StoppingError):
            await held[0].result(1)


async def test_a_device_without_the_memory_gets_smaller_batches(model: Model) -> None:
    sizes = []

    def small_device(items: list[int]) -> list[int]:
        sizes.append(len(items))
        if len(items) > 3:
            raise BatchTooLargeError
        return [2 * item for item in items]

    async with batching(small_device, max_batch=8) as batcher:
        assert await asyncio.gather(*ask(batcher, *range(8))) == list(range(0, 16, 2))
        sizes.clear()
        assert await asyncio.gather(*ask(batcher, *range(8))) == list(range(0, 16, 2))

    assert max(sizes) == 2


async def test_one_input_too_large_for_the_device_fails_alone() -> None:
    def tiny_device(items: list[int]) -> list[int]:
        if 5 in items:
            raise BatchTooLargeError
        return items

    async with batching(tiny_device, max_batch=8) as batcher:
        results = await asyncio.gather(*ask(batcher, 1, 5, 2), return_exceptions=True)

    assert results[::2] == [1, 2]
    assert isinstance(results[1], ComputeError)


async def test_several_devices_share_a_queue() -> None:
    """Two that wait for one another: neither is done unless both have work."""
    together = threading.Barrier(2, timeout=10)

    def device(items: list[int]) -> list[int]:
        together.wait()
        return [2 * item for item in items]

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        computers = [Computer("test", device, thread) for thread in (one, two)]
        async with Batcher("test", computers, max_batch=2, max_queue=10, max_bytes=100) as batcher:
            assert await asyncio.gather(*ask(batcher, 1, 2, 3, 4)) == [2, 4, 6, 8]


async def test_a_full_batch_is_handed_over_ahead_where_that_is_wanted(model: Model) -> None:
    async with batching(model, max_batch=2, ahead=True) as batcher:
        model.may_go_on.clear()
        first = ask(batcher, 0)
        await begun(model)
        full = ask(batcher, 1, 2)
        await asyncio.sleep(0.01)
        late = ask(batcher, 3)
        await asyncio.sleep(0.01)
        model.may_go_on.set()
        await asyncio.gather(*first, *full, *late)

    assert model.batches == [[0], [1, 2], [3]]


async def test_every_input_is_counted_once(model: Model) -> None:
    async with batching(model, max_queue=6) as batcher:
        model.may_go_on.clear()
        first = ask(batcher, 1)
        await begun(model)
        gone, bad = ask(batcher, 2, 3), ask(batcher, 13)
        late = asyncio.create_task(
            batcher.enter([1], expires_at=time.monotonic() + 0.01)[0].result(4)
        )
        with pytest.raises(QueueFullError):
            batcher.enter([1] * 5)
        await asyncio.sleep(0.02)
        for task in gone:
            task.cancel()
        model.may_go_on.set()
        await asyncio.gather(*first, *gone, *bad, late, return_exceptions=True)
        counted = batcher.statistics

    assert (counted.computed, counted.cancelled, counted.failed) == (1, 2, 1)
    assert (counted.expired, counted.rejected) == (1, 5)
    assert counted.in_all.count == 1
    assert {size: timing.count for size, timing in counted.batches.items()} == {1: 1}
