"""Duplicates of an index: a scan, then the groups that it found."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gateway.duplicates.grouping import Pair, groups
from gateway.duplicates.near_images import DuplicateSearch, NearImages
from gateway.duplicates.reporting import Group, Keep, Reporter
from gateway.duplicates.scanning import Scan
from gateway.duplicates.scans import Scans
from gateway.proving import Prover
from service_kit.errors import StoppingError
from service_kit.workers import Workers

_PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True)
class Progress:
    """How far a scan is: its name, and counts as of the contract."""

    scan_id: str
    checked: int
    total: int
    compared: int
    proven: int


@dataclass(frozen=True)
class Summary:
    """What a scan found in all: counts as of the contract."""

    groups: int
    images: int
    reclaimable_bytes: int
    skipped: int


Event = Progress | Group | Summary


class Duplicates:
    """Finds duplicates.

    Args:
        near_images: Finds what is near.
        prover: Compares.
        scans: Where scans are written down.
        reporter: Reads what is known of groups.
        workers: Threads that put groups together.
        stopping: Set when the server stops: scans are then broken off, to be gone on with.
    """

    def __init__(
        self,
        near_images: NearImages,
        prover: Prover,
        scans: Scans,
        reporter: Reporter,
        workers: Workers,
        stopping: asyncio.Event,
    ) -> None:
        self._near_images = near_images
        self._prover = prover
        self._scans = scans
        self._reporter = reporter
        self._workers = workers
        self._stopping = stopping

    async def find(
        self, wanted: DuplicateSearch, scan_id: str, min_confidence: float, keep: Keep
    ) -> AsyncGenerator[Event]:
        """Gives progress while it looks, then the groups, then a summary.

        Args:
            wanted: What is looked for.
            scan_id: Go on with this scan; "": begin one.
            min_confidence: Only pairs at least this sure are put together.
            keep: Which image of a group is suggested to be kept.

        Raises:
            StoppingError: The server stops; the scan can be gone on with.
            ServiceError: As `Scan.begin` and `Scan.walk`.
        """
        scan = await Scan.begin(wanted, scan_id, self._near_images, self._prover, self._scans)
        state = scan.state
        yield _progress(scan)
        work = asyncio.create_task(self._work(scan, min_confidence, keep))
        halt = asyncio.create_task(self._stopping.wait())
        try:
            while not work.done():
                await asyncio.wait(
                    (work, halt),
                    timeout=_PROGRESS_EVERY_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                yield _progress(scan)
                if halt.done() and not work.done():
                    raise StoppingError
            ranked = work.result()
        finally:
            for task in (work, halt):
                task.cancel()
            await asyncio.wait((work, halt))
        images = reclaimable = count = 0
        found = self._reporter.groups(wanted.index, [ids for _, ids in ranked], state.pairs)
        async with aclosing(found):
            async for group in found:
                count += 1
                images += len(group.members)
                reclaimable += group.reclaimable_bytes
                yield group
        yield Summary(count, images, reclaimable, len(state.skipped))
        await self._scans.delete(wanted.index, state.scan_id)

    async def _work(
        self, scan: Scan, min_confidence: float, keep: Keep
    ) -> list[tuple[int, list[str]]]:
        await scan.walk()
        found = await self._workers.run(_groups, list(scan.state.pairs), min_confidence)
        return await self._reporter.ranked(scan.wanted.index, found, keep)


def _groups(pairs: Sequence[Pair], min_confidence: float) -> list[list[str]]:
    return groups(pairs, min_confidence)


def _progress(scan: Scan) -> Progress:
    state = scan.state
    return Progress(
        state.scan_id,
        state.checked,
        state.total,
        state.compared + scan.compared_since,
        len(state.pairs) + scan.proven_since,
    )
