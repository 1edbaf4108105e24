"""A bound on bytes that many callers share."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """Bytes that may be held at a time; who wants more waits, in turn.

    Args:
        most: How many. One holder of more than that is taken alone, rather than never.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._most - self._free

    async def take(self, size: int) -> int:
        """Waits until there is room, and takes it. Answers what `give_back` must be told."""
        size = min(size, self._most)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._admit()  # it may have kept others waiting
            else:
                self.give_back(size)  # its turn came in the same moment
            raise
        return size

    def give_back(self, size: int) -> None:
        """Makes room again."""
        self._free += size
        self._admit()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Holds room for `size` bytes until the block ends."""
        taken = await self.take(size)
        try:
            yield
        finally:
            self.give_back(taken)

    def _admit(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():
                if size > self._free:
                    return
                self._free -= size
                turn.set_result(None)
            self._waiting.popleft()
