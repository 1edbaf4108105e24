"""service_kit.budget: a bound that callers share, in turn."""

import asyncio

import pytest

from service_kit.budget import ByteBudget


async def settle() -> None:
    """Lets every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_no_room_waits_for_it() -> None:
    budget = ByteBudget(10)
    taken = await budget.take(7)
    waiting = asyncio.create_task(budget.take(4))
    await settle()
    assert not waiting.done()

    budget.give_back(taken)

    assert await asyncio.wait_for(waiting, 1) == 4


async def test_the_first_to_come_is_the_first_served() -> None:
    """A large one is not starved by small ones that would fit."""
    budget = ByteBudget(10)
    taken = await budget.take(7)
    large = asyncio.create_task(budget.take(8))
    small = asyncio.create_task(budget.take(1))
    await settle()
    assert not small.done()

    budget.give_back(taken)
    await settle()

    assert large.done()
    assert small.done()


async def test_one_larger_than_everything_goes_alone() -> None:
    budget = ByteBudget(10)

    assert await budget.take(1000) == 10
    other = asyncio.create_task(budget.take(1))
    await settle()

    assert not other.done()
    other.cancel()


@pytest.mark.parametrize("given_back_first", [False, True])
async def test_who_is_cancelled_keeps_nothing_and_holds_up_nobody(given_back_first: bool) -> None:
    budget = ByteBudget(10)
    taken = await budget.take(10)
    gone = asyncio.create_task(budget.take(10))
    stays = asyncio.create_task(budget.take(10))
    await settle()

    if given_back_first:  # its turn comes in the very moment it is cancelled
        budget.give_back(taken)
        gone.cancel()
    else:
        gone.cancel()
        await settle()
        budget.give_back(taken)

    assert await asyncio.wait_for(stays, 1) == 10
    assert gone.cancelled()


async def test_room_is_given_back_after_an_error() -> None:
    budget = ByteBudget(10)
    with pytest.raises(ValueError, match="oops"):
        async with budget.hold(10):
            raise ValueError("oops")

    async with asyncio.timeout(1), budget.hold(10):
        pass
