"""Versions of an image: candidates first, then proof."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from imagesearch.common.v1 import types_pb2 as types

from gateway.candidates import Candidate, Candidates
from gateway.clients.search import Search
from gateway.proof.comparing import Comparison
from gateway.proof.relations import Relation
from gateway.proving import Prover
from gateway.query_images import ImageSource
from gateway.version_queries import VersionQueries, VersionQuery
from service_kit.deadlines import remaining

_AT_A_TIME = 8

# Kept of the caller's time for reading what is known of the versions, and for the answer.
_MARGIN_S = 0.5
_LONGEST_S = 60.0


@dataclass(frozen=True)
class VersionSearch:
    """What versions are looked for.

    Attributes:
        source: Of which image.
        index: In which index.
        narrowed: Only among images that match; None: all.
        max_candidates: Most images that are compared with it.
        min_confidence: Only versions at least this sure.
    """

    source: ImageSource
    index: str
    narrowed: types.Filter | None
    max_candidates: int
    min_confidence: float


@dataclass(frozen=True)
class Version:
    """An image that is proven to be the same picture as the query.

    Attributes:
        document: What is known of it.
        comparison: How it compares with the query; None: it has the very same bytes.
        score: Cosine of the two vectors.
    """

    document: types.Document
    comparison: Comparison | None
    score: float

    @property
    def confidence(self) -> float:
        """How sure that it is the same picture, 0 to 1."""
        return 1.0 if self.comparison is None else self.comparison.confidence

    @property
    def relations(self) -> Sequence[Relation]:
        """What it is to the query, what says most first."""
        if self.comparison is None:
            return (Relation.IDENTICAL_BYTES,)
        return self.comparison.relations


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        query: The image whose versions they are.
        versions: The surest first.
        compared: Images that were compared with it.
        skipped: Candidates that could not be.
    """

    query: VersionQuery
    versions: list[Version]
    compared: int
    skipped: int

    @property
    def all_documents(self) -> list[types.Document]:
        """Those of the versions, and the query's if it was named by id."""
        documents = [version.document for version in self.versions]
        return [self.query.stored, *documents] if self.query.stored is not None else documents


class Versions:
    """Finds versions.

    Args:
        queries: Gets the images that requests name.
        candidates: Finds what may be a version.
        prover: Says what is one.
        search: Has the documents.
    """

    def __init__(
        self, queries: VersionQueries, candidates: Candidates, prover: Prover, search: Search
    ) -> None:
        self._queries = queries
        self._candidates = candidates
        self._prover = prover
        self._search = search

    async def find(self, wanted: VersionSearch) -> Found:
        """Finds the versions of an image.

        What cannot be compared before the caller's time is over is skipped.

        Raises:
            ServiceError: The image cannot be had, the index is not there, …
        """
        query = await self._queries.get(wanted.source)
        candidates = await self._candidates.find(
            query, wanted.index, wanted.narrowed, wanted.max_candidates, wanted.source.field
        )
        is_stored = query.stored is not None
        candidates = [
            each for each in candidates if not (is_stored and each.image_id == query.image_id)
        ]
        proven, skipped = await self._compare(query, wanted, candidates)
        versions = await self._versions(query, wanted.index, proven)
        return Found(query, versions, len(candidates) - skipped, skipped)

    async def _compare(
        self, query: VersionQuery, wanted: VersionSearch, candidates: Sequence[Candidate]
    ) -> tuple[dict[str, Comparison | None], int]:
        """Gives the comparisons of those that are versions, and how many were not compared."""
        proven: dict[str, Comparison | None] = {}
        compared = 0
        upcoming = iter(candidates)

        async def work() -> None:
            nonlocal compared
            for candidate in upcoming:
                if candidate.image_id == query.image_id:
                    proven[candidate.image_id] = None
                    compared += 1
                    continue
                seen = await self._prover.look(
                    wanted.index, candidate.image_id, candidate.width, candidate.height
                )
                if seen is None:
                    continue
                found = await self._prover.compare(query.seen, seen)
                compared += 1
                if found and found.confidence >= wanted.min_confidence:
                    proven[candidate.image_id] = found

        tasks = [asyncio.create_task(work()) for _ in range(min(_AT_A_TIME, len(candidates)))]
        if tasks:
            try:
                left = max(0.0, remaining(_LONGEST_S) - _MARGIN_S)
                done, _ = await asyncio.wait(
                    tasks, timeout=left, return_when=asyncio.FIRST_EXCEPTION
                )
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        return proven, len(candidates) - compared

    async def _versions(
        self, query: VersionQuery, index: str, proven: dict[str, Comparison | None]
    ) -> list[Version]:
        """Reads what is known of the versions; those that were deleted meanwhile are left out."""
        if not proven:
            return []
        found = await self._search.documents(index, list(proven), with_vectors=True)
        versions = [
            Version(
                each.document,
                proven[each.document.image_id],
                _cosine(query.vector, each.vector),
            )
            for each in found
            if each is not None
        ]
        return sorted(
            versions,
            key=lambda each: (-each.confidence, each.comparison is not None, -each.score),
        )


def _cosine(one: types.Vector, other: types.Vector) -> float:
    a, b = np.array(one.values, np.float64), np.array(other.values, np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 0.0


def seen_at(document: types.Document) -> datetime:
    """When an image was first seen or taken, whatever is earliest known of it."""
    times = [
        source.first_seen_at for source in document.sources if source.HasField("first_seen_at")
    ]
    if document.HasField("captured_at"):
        times.append(document.captured_at)
    if not times:
        times.append(document.indexed_at)
    return min(time.ToDatetime(UTC) for time in times)


def pixels(document: types.Document) -> int:
    """How many an image has."""
    return document.width * document.height


def largest(documents: Sequence[types.Document]) -> types.Document | None:
    """The one with the most pixels; of several, the one with the most bytes, then the earliest."""
    return max(
        documents,
        key=lambda each: (pixels(each), each.size_bytes, -seen_at(each).timestamp()),
        default=None,
    )


def earliest(documents: Sequence[types.Document]) -> types.Document | None:
    """The one that was seen or taken first; of several, the one with the most pixels."""
    return min(documents, key=lambda each: (seen_at(each), -pixels(each)), default=None)
