"""Answers a stream of requests as they get done, a bounded number at a time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from service_kit.errors import IdleError, StoppingError

Q = TypeVar("Q")
A = TypeVar("A")


async def answers(
    requests: AsyncIterator[Q],
    begin: Callable[[Q], Awaitable[asyncio.Task[A]]],
    *,
    most: int,
    stopping: asyncio.Event,
    idle_s: float,
) -> AsyncGenerator[A]:
    """Answers requests in whatever order they get done.

    Reading stops while `most` requests have not been answered, or while `begin` waits: the
    sender then feels the transport's flow control. So does `begin` when nobody reads answers.

    Args:
        requests: Read one at a time.
        begin: Waits until a request can be taken up, then starts the work on its answer.
        most: Most requests between being read and their answers being taken.
        stopping: Once set, no further request is read; those that were read are answered.
        idle_s: Longest to wait for a request while none is being answered.

    Raises:
        IdleError: None came for so long.
        StoppingError: In the end, if `stopping` made it leave requests unread.
    """
    done: asyncio.Queue[asyncio.Task[A] | None] = asyncio.Queue()  # bounded by `most`
    free = asyncio.Semaphore(most)
    working: set[asyncio.Task[A]] = set()

    async def read() -> None:
        halt = asyncio.ensure_future(stopping.wait())
        try:
            while True:
                await free.acquire()
                upcoming = asyncio.ensure_future(anext(requests, None))
                while not upcoming.done():
                    busy = bool(working)
                    await asyncio.wait(
                        (upcoming, halt), timeout=idle_s, return_when=asyncio.FIRST_COMPLETED
                    )
                    if not upcoming.done() and (halt.done() or not (busy or working)):
                        upcoming.cancel()
                        raise StoppingError if halt.done() else IdleError(idle_s)
                if (request := upcoming.result()) is None:
                    return
                task = await begin(request)
                working.add(task)
                task.add_done_callback(working.discard)
                task.add_done_callback(done.put_nowait)
        finally:
            halt.cancel()
            if working:
                await asyncio.wait(set(working))
            done.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (task := await done.get()) is not None:
            yield task.result()
            free.release()
        await reader
    finally:  # nobody takes the answers any more
        left: set[asyncio.Task[Any]] = {reader, *working}
        for task_left in left:
            task_left.cancel()
        await asyncio.wait(left)
