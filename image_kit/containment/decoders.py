"""Where files of strangers are decoded: in processes of their own, or in this one."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from image_kit import reading
from image_kit.containment.answers import Answer, Task, name_of
from image_kit.containment.bounds import Bounds
from image_kit.containment.metrics import PoolCollector
from image_kit.containment.pool import ProcessPool
from image_kit.decoding import ImageError
from image_kit.reading import ImageLimits, RefusedImage


class Decoders(Protocol):
    """Decodes files. Blocks: to be called in worker threads."""

    def run(self, task: Task, data: bytes, limits: ImageLimits, **options: Any) -> Answer:
        """Does a task with a file.

        Args:
            task: What; one of those that were named when the decoders were opened.
            data: The file.
            limits: Bounds it must keep.
            options: The task's, in JSON's types.

        Raises:
            ImageError: The file cannot be used, or costs too much.
            UnavailableError: No process can be had.
        """


class InThisProcess:
    """Decodes where it is called. A file that breaks the decoder breaks the service."""

    def run(self, task: Task, data: bytes, limits: ImageLimits, **options: Any) -> Answer:
        """Does a task with a file; see Decoders."""
        try:
            reading.check_length(data, limits)
            return task(data, limits, options)
        except RefusedImage as refused:
            raise ImageError(refused.what, refused.reason) from refused


class InProcesses:
    """Decodes in the processes of a pool."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool

    def run(self, task: Task, data: bytes, limits: ImageLimits, **options: Any) -> Answer:
        """Does a task with a file; see Decoders."""
        try:
            reading.check_length(data, limits)
            return self._pool.run(name_of(task), data, limits, options)
        except RefusedImage as refused:
            raise ImageError(refused.what, refused.reason) from refused


@asynccontextmanager
async def open_decoders(
    processes: int,
    tasks: Sequence[Task],
    limits: ImageLimits,
    bounds: Bounds,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[Decoders]:
    """Starts decoders; they end with the block.

    Args:
        processes: How many; 0: decodes in threads of this process.
        tasks: What they can do.
        limits: The widest that files may keep.
        bounds: On one image.
        registry: Gets metrics of the processes; None: nobody does.

    Raises:
        StartError: The processes do not come up.
    """
    if processes == 0 or sys.platform == "win32":
        yield InThisProcess()
        return
    pool = ProcessPool(processes, [name_of(task) for task in tasks], bounds, limits.max_bytes)
    try:
        await asyncio.to_thread(pool.start)
        if registry is not None:
            registry.register(PoolCollector(pool))
        yield InProcesses(pool)
    finally:
        await asyncio.to_thread(pool.close)
