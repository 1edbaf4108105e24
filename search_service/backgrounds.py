"""What a random sample of an index scores for a query: what a hit's score is measured against."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import structlog
from imagesearch.search.v1 import search_service_pb2 as pb
from numpy.typing import NDArray

from search_service import sampling, walking
from search_service.cluster import Cluster
from search_service.errors import BackgroundMissingError
from search_service.mappings import Revision
from search_service.queries import KnnSearch
from service_kit import deadlines
from service_kit.workers import Workers

log = structlog.get_logger()

SAMPLE = 1_000
"""Documents in a sample."""

MAX_BYTES = 64 * 1024 * 1024
"""All samples together; the one that was not used for the longest time goes first."""

_CHECK_S = 10.0
_LONGEST_S = 3_600.0

# A sample is taken anew when the index has grown or shrunk by so much since.
_GROWTH = 1.1

_SIMILARITIES = ("cosine", "dot_product")


@dataclass
class _Sample:
    """Vectors of documents picked at random.

    Attributes:
        vectors: (documents, dimensions), float32; unit length where the index is of cosines.
        documents: In the index when it was taken.
        taken_at: Monotonic seconds.
        checked_at: When the index's documents were last counted.
    """

    vectors: NDArray[np.float32]
    documents: int
    taken_at: float
    checked_at: float


class Backgrounds:
    """Keeps a sample of each index that is asked for one.

    A sample is used while it is looked after: where the index has changed, the next searches
    still get the old one.

    Args:
        cluster: Where the documents are.
        workers: Threads for arithmetic.
    """

    def __init__(self, cluster: Cluster, workers: Workers) -> None:
        self._cluster = cluster
        self._workers = workers
        self._samples: OrderedDict[str, _Sample] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def of(
        self, revision: Revision, search: KnnSearch, vectors: list[NDArray[np.float32]]
    ) -> pb.Background:
        """The scores of the sample for a search.

        Args:
            revision: The index.
            search: What is searched.
            vectors: Those that its vector is made of.

        Raises:
            BackgroundMissingError: The index's scores are no cosines.
            ServiceError: The sample cannot be read.
        """
        if revision.options.similarity not in _SIMILARITIES:
            raise BackgroundMissingError(revision.name, revision.options.similarity)
        sample = await self._sample(revision)
        return await self._workers.run(_background, sample.vectors, search, vectors)

    async def stop(self) -> None:
        """Ends what is under way."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _sample(self, revision: Revision) -> _Sample:
        name = f"{revision.physical} {revision.created_at}"
        known = self._samples.get(name)
        if known is None or time.monotonic() - known.checked_at > _CHECK_S:
            task = self._tasks.get(name)
            if task is None:
                task = asyncio.create_task(self._look_after(name, revision))
                self._tasks[name] = task
                task.add_done_callback(lambda done: self._done(name, done))
            # The first of an index, and one of few documents, which change fast, is waited for.
            if known is None or known.documents < SAMPLE:
                await asyncio.shield(task)
        self._samples.move_to_end(name)
        return self._samples[name]

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("no_background_sample", index=name, error=str(error))

    async def _look_after(self, name: str, revision: Revision) -> None:
        deadlines.begin(None)  # it is for all searches to come
        now = time.monotonic()
        documents = await walking.count(self._cluster, revision, None)
        known = self._samples.get(name)
        if known is not None and now - known.taken_at < _LONGEST_S:
            fewer, more = sorted((known.documents, documents))
            if more <= _GROWTH * fewer:
                known.checked_at = now
                return
        found = await sampling.sample(self._cluster, revision, SAMPLE)
        vectors = await self._workers.run(
            _matrix, found, revision.options.dimensions, revision.options.similarity
        )
        self._samples[name] = _Sample(vectors, documents, now, now)
        held = sum(sample.vectors.nbytes for sample in self._samples.values())
        while held > MAX_BYTES and len(self._samples) > 1:
            held -= self._samples.popitem(last=False)[1].vectors.nbytes


def _matrix(found: list[sampling.Sample], dimensions: int, similarity: str) -> NDArray[np.float32]:
    vectors = np.zeros((len(found), dimensions), np.float32)
    for row, each in zip(vectors, found, strict=True):
        row[:] = sampling.vector_of(each)
    if similarity == "cosine":
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    return vectors


def _background(
    sample: NDArray[np.float32], search: KnnSearch, vectors: list[NDArray[np.float32]]
) -> pb.Background:
    made = pb.Background(sample_size=len(sample))
    if len(sample):
        scores = search.factor * (sample @ (search.vector / np.linalg.norm(search.vector)))
        made.percentiles.extend(np.percentile(scores, np.arange(101)).tolist())
        for vector in vectors:
            likeness = sample @ (vector / np.linalg.norm(vector))
            made.vector_medians.append(float(np.median(likeness)))
    return made
