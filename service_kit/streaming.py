"""Answers a stream of requests as they get done, a bounded number at a time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from service_kit.errors import StoppingError

Q = TypeVar("Q")
A = TypeVar("A")


async def answers(
    requests: AsyncIterator[Q],
    begin: Callable[[Q], Awaitable[asyncio.Task[A]]],
    *,
    most: int,
    stopping: asyncio.Event,
) -> AsyncGenerator[A]:
    """Answers requests in whatever order they get done.

    Reading stops while `most` requests have not been answered, or while `begin` waits: the
    sender then feels the transport's flow control. So does `begin` when nobody reads answers.

    Args:
        requests: Read one at a time.
        begin: Waits until a request can be taken up, then starts the work on its answer.
        most: Most requests between being read and their answers being taken.
        stopping: Once set, no further request is read; those that were read are answered.

    Raises:
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
                await asyncio.wait((upcoming, halt), return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done():
                    upcoming.cancel()
                    raise StoppingError
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
