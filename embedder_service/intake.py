"""One kind of input on its way: remembered, or prepared in a thread and computed by the model."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from embedder_service.batching import Batcher
from embedder_service.cache import VectorCache, digest
from embedder_service.errors import ComputeError
from embedder_service.place import Place
from embedder_service.statistics import Statistics
from service_kit import tracing
from service_kit.errors import ServiceError
from service_kit.workers import Workers

log = structlog.get_logger()

T = TypeVar("T")

Vector = NDArray[np.float32]
"""(dimensions,), unit length."""


@dataclass(frozen=True)
class Embedded:
    """The vector of an input.

    Attributes:
        vector: (dimensions,), float32, unit length.
        truncated: The text was longer than the model reads.
    """

    vector: Vector
    truncated: bool = False


@dataclass(frozen=True)
class Prepared(Generic[T]):
    """An input as the model takes it; of a text, whether it was cut."""

    item: T
    truncated: bool = False


@dataclass(frozen=True)
class _Begun(Generic[T]):
    """What a thread made of an input: the vector from before, or what the model takes."""

    key: bytes
    known: tuple[Vector, bool] | None
    prepared: Prepared[T] | None
    seconds: float


class Intake(Generic[T]):
    """Takes one kind of input to its vectors.

    Args:
        name: What tells its inputs apart from those of other models and kinds, in the cache; for
            traces, its first word is their kind.
        queue: Of the tower.
        prepare: Makes what the tower takes of an input's bytes. It may block, and raises
            ServiceErrors for inputs that can never be embedded.
        workers: Threads to prepare in.
        cache: Vectors from before.
        at_once: Inputs of up to so many bytes are prepared on the event loop: it takes less
            time than to hand them to a thread.
    """

    def __init__(
        self,
        name: str,
        queue: Batcher[T, Vector],
        prepare: Callable[[bytes], Prepared[T]],
        workers: Workers,
        cache: VectorCache,
        at_once: int = 0,
    ) -> None:
        self._name = name
        self._step = f"embed {name.partition(' ')[0]}"
        self.queue = queue
        self._prepare = prepare
        self._workers = workers
        self._cache = cache
        self._at_once = at_once

    @property
    def statistics(self) -> Statistics:
        """What was done with its inputs."""
        return self.queue.statistics

    async def embed(self, content: bytes, place: Place[T, Vector]) -> Embedded:
        """Embeds one input, at the place that was taken for it.

        Raises:
            ServiceError: The input cannot be embedded, the model failed on it, its time was
                over, or the server stops.
        """
        with tracing.span(self._step, {"imagesearch.bytes": len(content)}):
            with tracing.span("prepare"):
                begun = await self._begin(content, place)
            if begun.known is not None:
                if place.settle():
                    self.statistics.cached += 1
                return Embedded(*begun.known)
            assert begun.prepared is not None
            vector = await place.result(begun.prepared.item)
            if self._cache.enabled:
                self._cache.put(begun.key, vector, begun.prepared.truncated)
            return Embedded(vector, begun.prepared.truncated)

    async def check(self, content: bytes, size: int) -> None:
        """Tries the tower, past the cache, if it failed on all it was given last.

        Raises:
            ServiceError: It fails still.
        """
        if self.queue.failing:
            place = await self.queue.enter_bulk(size)
            try:
                prepared = await self._workers.run(self._prepare, content)
                await place.result(prepared.item)
            finally:
                place.leave()

    async def _begin(self, content: bytes, place: Place[T, Vector]) -> _Begun[T]:
        try:
            if len(content) <= self._at_once:
                begun = self._work(content)
            else:
                begun = await self._workers.run(self._work, content)
        except ServiceError:
            if place.settle():
                self.statistics.refused += 1
            raise
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("preparing_failed", kind=self._name)
            if place.settle():
                self.statistics.failed += 1
            raise ComputeError from error
        if begun.prepared is not None:
            self.statistics.prepare.add(begun.seconds)
        return begun

    def _work(self, content: bytes) -> _Begun[T]:
        began = time.perf_counter()
        key = b""
        if self._cache.enabled:
            key = digest(self._name, content)
            if known := self._cache.get(key):
                return _Begun(key, known, None, 0.0)
        prepared: Prepared[Any] = self._prepare(content)
        return _Begun(key, None, prepared, time.perf_counter() - began)
