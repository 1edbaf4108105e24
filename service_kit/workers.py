"""A few threads for work that would block the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from service_kit import deadlines
from service_kit.errors import DeadlineError

P = ParamSpec("P")
R = TypeVar("R")


class Workers:
    """Runs functions in threads, at most as many at a time as there are threads.

    Whoever waits for a thread waits on the event loop and can leave without a trace. A function
    that has begun cannot be interrupted: it keeps its thread until it ends, wanted or not.

    What runs in a thread knows the request that it is for, as far as logs and traces go.

    Args:
        name: Prefix of the threads' names.
        threads: How many.

    Attributes:
        waiting: Callers that wait for a thread.
        running: Threads that are busy.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.threads = threads
        self.waiting = 0
        self.running = 0
        self._free = asyncio.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _ in range(self.threads):  # every thread has come to rest
            await self._free.acquire()
        self._pool.shutdown(wait=False)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs a function in the next free thread and gives what it returns or raises.

        Raises:
            DeadlineError: The call's time was over before a thread was free.
        """
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        loop = asyncio.get_running_loop()
        self.running += 1
        try:
            deadlines.check("there was a thread for it")
            context = copy_context()
            job = self._pool.submit(lambda: context.run(function, *args, **kwargs))
        except (DeadlineError, RuntimeError):
            self._is_free()
            raise
        # Not when the caller has left, but when the thread is free again.
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._is_free))
        return await asyncio.wrap_future(job)

    def _is_free(self) -> None:
        self.running -= 1
        self._free.release()
