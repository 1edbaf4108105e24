"""Bounds between stages: in bytes for threads, and from threads to the event loop."""

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class StoppedError(Exception):
    """The pipeline is stopping; nothing more is taken in."""


class ByteBudget:
    """Bytes that may be in memory at a time. Threads wait for room; anyone gives it back.

    Args:
        most: Bytes; what is larger goes alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._stopped = False
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Waits for room.

        Raises:
            StoppedError: `stop` was called.
        """
        with self._changed:
            while not self._stopped and self._held and self._held + size > self._most:
                self._changed.wait()
            if self._stopped:
                raise StoppedError
            self._held += size

    def correct(self, before: int, now: int) -> None:
        """Notes that what was taken in turned out to be of another size."""
        with self._changed:
            self._held += now - before
            self._changed.notify_all()

    def give_back(self, size: int) -> None:
        """Makes room."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def stop(self) -> None:
        """Lets nobody wait any longer."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class Handover(Generic[T]):
    """A bounded queue from threads to coroutines of one event loop.

    Args:
        most: Most things in it.
    """

    def __init__(self, most: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(most)
        self._things: deque[T] = deque()
        self._given_back: list[T] = []
        self._arrived = asyncio.Event()
        self._woken = False
        self._closed = False
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """`stop` was called."""
        return self._stopped

    def put(self, thing: T) -> None:
        """Waits for room and puts a thing in. From a thread.

        Raises:
            StoppedError: `stop` was called.
        """
        self._room.acquire()
        if self._stopped:
            self._room.release()
            raise StoppedError
        self._things.append(thing)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._arrived.set)

    def give_back(self, thing: T) -> None:
        """Puts a thing back that was taken out. On the event loop."""
        self._given_back.append(thing)
        self._arrived.set()

    async def get(self) -> T | None:
        """Takes a thing out; None: there will be none."""
        while not self._things or self._stopped:
            if self._given_back:
                return self._given_back.pop()
            if self._closed:
                return None
            self._woken = False
            self._arrived.clear()
            if self._things and not self._stopped:
                break
            await self._arrived.wait()
        thing = self._things.popleft()
        self._room.release()
        return thing

    def close(self) -> None:
        """Says that nothing more is put in. On the event loop."""
        self._closed = True
        self._arrived.set()

    def stop(self) -> list[T]:
        """Refuses what comes, and gives back what waits. On the event loop."""
        self._stopped = self._closed = True
        left = [*self._things, *self._given_back]
        self._things.clear()
        self._given_back.clear()
        self._room.release(len(left) + 1_000)
        self._arrived.set()
        return left
