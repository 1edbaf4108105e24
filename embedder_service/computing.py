"""Runs a model on batches, in a thread of its own, and finds the one input that breaks it."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import structlog

from embedder_service.errors import ComputeError
from service_kit.errors import ServiceError

log = structlog.get_logger()

T = TypeVar("T")
R = TypeVar("R")

Outcome: TypeAlias = R | Exception | None
"""A result, why there is none, or None for an item that nobody wanted any more."""


class BatchTooLargeError(Exception):
    """The device has not enough memory for so many items at a time."""


@dataclass
class Computed(Generic[R]):
    """What became of a batch.

    Attributes:
        outcomes: One an item, in order.
        passes: Items and seconds of each forward pass that succeeded.
        fits: Most items that the device had memory for; None if it had enough.
    """

    outcomes: list[Outcome[R]]
    passes: list[tuple[int, float]]
    fits: int | None = None


class Computer(Generic[T, R]):
    """A model on one device.

    Args:
        name: For the log.
        compute: Maps items to as many results, in order. It may block and needs no locks. Its
            ServiceErrors are the item's own; BatchTooLargeError makes for smaller batches;
            anything else is a bug.
        thread: Where it runs. Computers that share a device share its thread.
    """

    def __init__(
        self, name: str, compute: Callable[[list[T]], Iterable[R]], thread: Executor
    ) -> None:
        self._name = name
        self._compute = compute
        self._thread = thread

    def begin(
        self, items: Sequence[T], wanted: Sequence[Callable[[], bool]]
    ) -> "asyncio.Future[Computed[R]]":
        """Computes items in the thread.

        Args:
            items: The batch.
            wanted: Say, when its turn comes, whether somebody still waits for each item.

        Raises:
            RuntimeError: The thread is gone.
        """
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._thread, self._run, items, wanted)

    def _run(self, items: Sequence[T], wanted: Sequence[Callable[[], bool]]) -> Computed[R]:
        done: Computed[R] = Computed([None] * len(items), [])
        places = [i for i, is_wanted in enumerate(wanted) if is_wanted()]
        outcomes = self._isolate([items[i] for i in places], done)
        for i, outcome in zip(places, outcomes, strict=True):
            done.outcomes[i] = outcome
        return done

    def _isolate(self, items: list[T], done: Computed[R]) -> list[Outcome[R]]:
        """Computes items; halves them on failure until the culprit is alone."""
        if not items:
            return []
        began = time.perf_counter()
        try:
            results = list(self._compute(items))
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results for {len(items)} items")
        except Exception as error:
            if len(items) == 1:
                if isinstance(error, ServiceError):
                    return [error]
                log.exception("compute_failed", computer=self._name)
                return [ComputeError()]
            middle = len(items) // 2
            if isinstance(error, BatchTooLargeError):
                done.fits = middle if done.fits is None else min(done.fits, middle)
            return self._isolate(items[:middle], done) + self._isolate(items[middle:], done)
        done.passes.append((len(items), time.perf_counter() - began))
        return [*results]
