"""One input's place in the queue."""

import asyncio
import time
from typing import Generic, Protocol, TypeVar

from embedder_service.statistics import Statistics
from service_kit import tracing

T = TypeVar("T")
R = TypeVar("R")


class Owner(Protocol[T, R]):
    """What gave a place, and gets it back."""

    statistics: Statistics

    def ready(self, place: "Place[T, R]") -> None:
        """The item has come."""

    def free(self, place: "Place[T, R]") -> None:
        """The place is no longer needed."""


class Place(Generic[T, R]):
    """One input's place in the queue, from admission until it is computed or has left.

    Whoever takes a place must call `result` or `leave`. Leaving twice, or after the result,
    does nothing.
    """

    item: T

    def __init__(self, owner: Owner[T, R], size: int, bulk: bool, expires_at: float) -> None:
        self.size = size
        self.bulk = bulk
        self.expires_at = expires_at
        self.entered_at = time.monotonic()
        self.ready_at = self.entered_at
        self.outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.waiting: tracing.Waiting | None = None
        self._owner = owner
        self._left = False

    async def result(self, item: T) -> R:
        """Queues the item and waits for its result. Cancelling the caller frees the place.

        Raises:
            ServiceError: The item failed, its time was over, or the server stops.
        """
        try:
            if not self.outcome.done():
                self.item = item
                self.waiting = tracing.waiting("queue")
                self._owner.ready(self)
            return await self.outcome
        finally:
            self.leave()

    def leave(self) -> None:
        """Gives the place up; what has not been begun is never computed."""
        if self.waiting is not None:
            self.waiting.end()
        self.outcome.cancel()
        if self.outcome.cancelled() and not self._left:  # also by the task that waited for it
            statistics = self._owner.statistics
            if self.expires_at <= time.monotonic():
                statistics.expired += 1
            else:
                statistics.cancelled += 1
        self._left = True
        self._owner.free(self)

    def settle(self) -> bool:
        """Gives the place up for an input that needs no model; says whether it was still open."""
        was_open = self.outcome.cancel()
        self._left = True
        self._owner.free(self)
        return was_open

    def fail(self, error: Exception) -> bool:
        """Sets the outcome, unless there is one; says whether it did."""
        if self.outcome.done():
            return False
        self.outcome.set_exception(error)
        self.outcome.exception()  # seen: the place's owner may never come to ask
        return True

    def is_wanted(self) -> bool:
        """Somebody still waits for the outcome."""
        return not self.outcome.done()
