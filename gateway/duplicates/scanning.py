"""Walks over an index once and compares what is near; can be broken off and gone on with."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

from gateway.candidates import Candidate
from gateway.duplicates.grouping import Pair, turned_round
from gateway.duplicates.near_images import DuplicateSearch, NearImages, Page
from gateway.duplicates.scans import Scans, new_id
from gateway.duplicates.state import ScanState, pair_key
from gateway.errors import ScanNotFoundError
from gateway.proof.relations import Relation
from gateway.proving import Prover, Seen
from service_kit.errors import InvalidRequestError, ServiceError

_AT_A_TIME = 4


class Scan:
    """One walk over an index.

    Args:
        wanted: What is looked for.
        state: How far it is; kept up to date, as of the last page that is done.
        near_images: Finds what is near.
        prover: Compares.
        scans: Where the state is written down.
    """

    def __init__(
        self,
        wanted: DuplicateSearch,
        state: ScanState,
        near_images: NearImages,
        prover: Prover,
        scans: Scans,
    ) -> None:
        self.wanted = wanted
        self.state = state
        self._near_images = near_images
        self._prover = prover
        self._scans = scans
        self._saved_at = time.monotonic()
        self.compared_since = 0
        """Pairs compared since the last page was done."""
        self.proven_since = 0
        """Those of them that are versions of each other."""

    @classmethod
    async def begin(
        cls,
        wanted: DuplicateSearch,
        scan_id: str,
        near_images: NearImages,
        prover: Prover,
        scans: Scans,
    ) -> "Scan":
        """Begins a scan, or goes on with one.

        Raises:
            ScanNotFoundError: There is none of that name.
            InvalidRequestError: It is of another index or filter.
            ServiceError: There is no such index, or the filter is wrong.
        """
        total = await near_images.count(wanted)
        if scan_id:
            known = await scans.load(wanted.index, scan_id)
            if known is None:
                raise ScanNotFoundError(wanted.index, scan_id)
            if known.digest != wanted.digest:
                what = "is a scan with another filter or max_neighbors"
                raise InvalidRequestError([("scan_id", what)])
            return cls(wanted, known, near_images, prover, scans)
        await scans.sweep(wanted.index)
        least = await near_images.threshold(wanted)
        state = ScanState(new_id(), wanted.digest, least, total)
        await scans.save(wanted.index, state)
        return cls(wanted, state, near_images, prover, scans)

    async def walk(self) -> None:
        """Goes on to the end. What is done is written down now and then, and when it ends early.

        Raises:
            ServiceError: A part of the system is away.
        """
        saved = True
        try:
            while not self.state.finished:
                page = await self._near_images.page(
                    self.wanted, self.state.after, self.state.threshold
                )
                await self._page(page)
                due = time.monotonic() - self._saved_at >= self._scans.save_interval_s
                saved = self.state.finished or due
                if saved:
                    await self._save()
        finally:
            if not saved:
                with suppress(ServiceError):
                    await self._save()

    async def _save(self) -> None:
        await self._scans.save(self.wanted.index, self.state)
        self._saved_at = time.monotonic()

    async def _page(self, page: Page) -> None:
        """Compares the pairs of a page; the state changes only when all are."""
        state = self.state
        expected: set[int] = set()
        met: set[int] = set()
        pairs: list[tuple[Candidate, Candidate]] = []
        for image_id, near in page.near.items():
            for other in near:
                key = pair_key(image_id, other)
                if other < image_id and (key in state.expected or key in expected):
                    met.add(key)
                    continue
                if other > image_id:
                    expected.add(key)
                first, second = sorted((image_id, other))
                pairs.append((page.images[first], page.images[second]))
        proven: list[Pair] = []
        skipped: set[str] = set()
        self.compared_since = self.proven_since = 0
        await self._compare(pairs, proven, skipped)
        state.pairs += sorted(proven, key=lambda each: (each.a, each.b))
        state.skipped |= skipped
        state.expected |= expected
        state.expected -= met
        state.checked += len(page.near)
        state.compared += self.compared_since
        self.compared_since = self.proven_since = 0
        state.after = next(reversed(page.near), state.after)
        state.finished = page.is_last

    async def _compare(
        self,
        pairs: Iterable[tuple[Candidate, Candidate]],
        proven: list[Pair],
        skipped: set[str],
    ) -> None:
        upcoming = iter(pairs)

        async def work() -> None:
            for one, other in upcoming:
                seen = [await self._look(each, skipped) for each in (one, other)]
                if seen[0] is None or seen[1] is None:
                    continue
                found = await self._prover.compare(seen[0], seen[1])
                turned = found is None
                if turned:  # what is faint in one may be found from the other
                    found = await self._prover.compare(seen[1], seen[0])
                self.compared_since += 1
                if found is not None:
                    self.proven_since += 1
                    proven.append(
                        Pair(
                            one.image_id,
                            other.image_id,
                            turned_round(found.relations[0]) if turned else found.relations[0],
                            round(found.confidence, 6),
                            Relation.COLLAGE not in found.relations,
                        )
                    )

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(work())

    async def _look(self, image: Candidate, skipped: set[str]) -> Seen | None:
        if image.image_id in self.state.skipped or image.image_id in skipped:
            return None
        seen = await self._prover.look(self.wanted.index, image.image_id, image.width, image.height)
        if seen is None:
            skipped.add(image.image_id)
        return seen
