"""Ends streams whose callers may not have them any longer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service_kit.identity.callers import Caller
from service_kit.identity.errors import UnauthenticatedError


class Streams:
    """The streams that are being answered.

    Args:
        clock: Unix time.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._running: dict[asyncio.Timeout, Caller] = {}

    @asynccontextmanager
    async def bound(self, caller: Caller) -> AsyncIterator[None]:
        """Runs a stream no longer than what its caller has shown is good.

        Raises:
            UnauthenticatedError: It has expired, or was taken back, while the stream ran.
        """
        left_s = None
        if caller.expires_at is not None:
            left_s = max(0.0, caller.expires_at - self._clock())
        try:
            async with asyncio.timeout(left_s) as until:
                self._running[until] = caller
                try:
                    yield
                finally:
                    self._running.pop(until, None)
        except TimeoutError as error:
            if not until.expired():  # of something inside
                raise
            raise UnauthenticatedError("it stopped being good while the stream ran") from error

    def end(self, may_stay: Callable[[Caller], bool]) -> int:
        """Ends the streams whose callers may not stay; says how many."""
        ended = [until for until, caller in self._running.items() if not may_stay(caller)]
        for until in ended:
            del self._running[until]
            if not until.expired():
                until.reschedule(asyncio.get_running_loop().time())
        return len(ended)
