"""URLs waiting to be fetched, taken so that no host is hammered and none holds up the others."""

import asyncio
import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Host(Generic[T]):
    waiting: deque[T] = field(default_factory=deque)
    in_flight: int = 0
    next_at: float = 0.0
    queued: bool = False


class HostQueues(Generic[T]):
    """Items by host.

    Args:
        per_host: Most items of one host that are taken and not done.
        delay_s: Least time between two items of one host.
        most: Most items waiting; whoever puts more waits.
    """

    def __init__(self, per_host: int, delay_s: float, most: int = 2_000) -> None:
        self._per_host = per_host
        self._delay_s = delay_s
        self._most = most
        self._count = 0
        self._in_flight = 0
        self._closed = False
        self._hosts: dict[str, _Host[T]] = {}
        self._ready: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        lock = asyncio.Lock()
        self._changed = asyncio.Condition(lock)
        self._room = asyncio.Condition(lock)

    async def put(self, host: str, item: T) -> None:
        """Adds an item, once there is room."""
        async with self._room:
            await self._room.wait_for(lambda: self._count < self._most or self._closed)
            if not self._closed:
                self._add(host, item)

    async def put_back(self, host: str, item: T, seconds: float) -> None:
        """Adds an item that was taken once more; its host rests for so many seconds."""
        async with self._changed:
            state = self._hosts.setdefault(host, _Host())
            state.next_at = max(state.next_at, asyncio.get_running_loop().time() + seconds)
            self._add(host, item)

    async def take(self) -> tuple[str, T] | None:
        """Gives the next item and its host; None at the end. `done` must be called for it."""
        loop = asyncio.get_running_loop()
        async with self._changed:
            while True:
                now = loop.time()
                if self._ready and self._ready[0][0] <= now:
                    return self._pop(now)
                if self._at_end():
                    return None
                wait = self._ready[0][0] - now if self._ready else None
                try:
                    async with asyncio.timeout(wait):
                        await self._changed.wait()
                except TimeoutError:
                    pass  # the first host has rested

    async def done(self, host: str) -> None:
        """Says that an item that was taken needs no more connection."""
        async with self._changed:
            state = self._hosts[host]
            state.in_flight -= 1
            self._in_flight -= 1
            self._queue(host, state)
            if len(self._hosts) > 2 * self._most:
                self._forget_rested()
            if self._at_end():
                self._changed.notify_all()
            else:
                self._changed.notify()

    async def close(self) -> None:
        """Says that nothing more is put; what waits is still given."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._room.notify_all()

    async def clear(self) -> None:
        """Forgets all that waits, and closes."""
        async with self._changed:
            self._closed = True
            self._count = 0
            self._ready.clear()
            for state in self._hosts.values():
                state.waiting.clear()
                state.queued = False
            self._changed.notify_all()
            self._room.notify_all()

    def _add(self, host: str, item: T) -> None:
        state = self._hosts.setdefault(host, _Host())
        state.waiting.append(item)
        self._count += 1
        self._queue(host, state)
        self._changed.notify()

    def _queue(self, host: str, state: _Host[T]) -> None:
        if state.waiting and not state.queued and state.in_flight < self._per_host:
            state.queued = True
            heapq.heappush(self._ready, (state.next_at, next(self._numbers), host))

    def _pop(self, now: float) -> tuple[str, T]:
        _, _, host = heapq.heappop(self._ready)
        state = self._hosts[host]
        state.queued = False
        item = state.waiting.popleft()
        state.in_flight += 1
        state.next_at = max(state.next_at, now + self._delay_s)
        self._count -= 1
        self._in_flight += 1
        self._queue(host, state)
        self._room.notify()
        return host, item

    def _at_end(self) -> bool:
        return self._closed and not self._count and not self._in_flight

    def _forget_rested(self) -> None:
        now = asyncio.get_running_loop().time()
        for host, state in list(self._hosts.items()):
            if not state.waiting and not state.in_flight and state.next_at <= now:
                del self._hosts[host]
