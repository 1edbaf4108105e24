"""How much one caller may ask for: a token bucket, and a bound on calls at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from service_kit.identity.errors import RateLimitedError, TooManyCallsError


@dataclass(frozen=True)
class Limits:
    """What a caller may ask of one server. None: as much as there is.

    Attributes:
        requests_per_second: Calls, and messages of streams, in the long run.
        burst: How many may come at once; None: one second's, at least one.
        concurrent_calls: Calls being answered at a time, streams among them.
    """

    requests_per_second: float | None = None
    burst: int | None = None
    concurrent_calls: int | None = None


class Limiter:
    """Keeps one caller within its limits.

    Args:
        limits: The caller's.
        clock: Seconds that never go back.
        sleep: Waits so many seconds of that clock.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._sleep = sleep
        self._rate = limits.requests_per_second
        self._most = float(limits.burst or max(1.0, self._rate or 1.0))
        self._tokens = self._most
        self._at = clock()
        self._running = 0

    def take(self) -> None:
        """Counts a request.

        Raises:
            RateLimitedError: There were too many; it says when there is room again.
        """
        if self._rate is None:
            return
        self._refill(self._rate)
        if self._tokens < 1:
            raise RateLimitedError(timedelta(seconds=(1 - self._tokens) / self._rate))
        self._tokens -= 1

    async def wait(self) -> None:
        """Counts a message of a stream, and waits until there is room for it.

        A stream need not fail for being fast: it is read no faster than the limit, and its sender
        feels the transport's flow control.
        """
        if self._rate is None:
            return
        self._refill(self._rate)
        self._tokens -= 1
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate)

    def _refill(self, rate: float) -> None:
        now = self._clock()
        self._tokens = min(self._most, self._tokens + (now - self._at) * rate)
        self._at = now

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts a call while it is answered.

        Raises:
            TooManyCallsError: As many as may be are being answered already.
        """
        most = self.limits.concurrent_calls
        if most is not None and self._running >= most:
            raise TooManyCallsError(most)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


UNLIMITED = Limiter(Limits())
"""For callers without limits of their own."""
