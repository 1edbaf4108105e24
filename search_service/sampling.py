"""Documents picked at random, and how well searches do on them."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_service import documents, searching, walking
from search_service.bulk import batched
from search_service.cluster import Cluster
from search_service.hashes import BANDS_FIELD
from search_service.mappings import VECTOR_FIELD, Revision
from search_service.queries import KnnSearch

NEIGHBORS = 10
"""How many of the nearest documents two revisions are compared by."""

_AT_ONCE = 50

# Below this cosine two vectors of a document differ by more than storing them explains.
_SAME = 0.9999

# A search among so many documents of a shard compares each vector, as Lucene does where a filter
# leaves fewer than the number of candidates.
_ALL_COMPARED = 5_000

# Of documents whose scores differ by less, any may be found.
_EQUAL = 1e-6

Sample = Mapping[str, Any]
"""A document as found: `_id`, and `_source` with its vector."""


async def sample(cluster: Cluster, revision: Revision, count: int) -> list[Sample]:
    """Picks documents at random: ids are digests, so those after a random one are random too.

    Returns:
        So many, or all there are.
    """
    first = f"{random.getrandbits(256):064x}"
    found = await _pages(cluster, revision, first, "", count)
    if len(found) < count:
        found += await _pages(cluster, revision, "", first, count - len(found))
    return found


async def _pages(
    cluster: Cluster, revision: Revision, after: str, upto: str, count: int
) -> list[Sample]:
    found: list[Sample] = []
    while len(found) < count:
        size = min(100, count - len(found))
        page = await walking.page(cluster, revision, after, size, upto=upto, vectors=True)
        found += page
        if len(page) < size:
            break
        after = page[-1]["_id"]
    return found


def vector_of(found: Sample) -> NDArray[np.float32]:
    """The vector of a document that was read with it: (dimensions,)."""
    return np.array(found["_source"][VECTOR_FIELD], np.float32)


@dataclass(frozen=True)
class Comparison:
    """How a revision compares with the live one; see the contract."""

    live_count: int
    other_count: int
    sampled: int = 0
    missing: int = 0
    differing: int = 0
    overlap: float = 1.0


async def compare(cluster: Cluster, live: Revision, other: Revision, samples: int) -> Comparison:
    """Compares counts, sampled documents, and what searches with their vectors find.

    Args:
        cluster: Where they are.
        live: The live revision; refresh it before.
        other: The other one; refresh it before.
        samples: How many documents.
    """
    counts = [await walking.count(cluster, each, None) for each in (live, other)]
    ours = await sample(cluster, live, samples)
    ids = [each["_id"] for each in ours]
    theirs: list[Sample | None] = []
    for some in batched(ids, _AT_ONCE):
        theirs += await documents.get(cluster, other.physical, some, vectors=True)
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if b is not None]
    same_space = live.space == other.space
    differing = sum(_differ(a, b, same_space) for a, b in pairs)
    overlaps = []
    for some_pairs in batched(pairs, _AT_ONCE):
        near = await _nearest(cluster, live, [vector_of(a) for a, _ in some_pairs])
        also = await _nearest(cluster, other, [vector_of(b) for _, b in some_pairs])
        overlaps += [len(a & b) / len(a) for a, b in zip(near, also, strict=True) if a]
    return Comparison(
        counts[0],
        counts[1],
        sampled=len(ours),
        missing=len(ours) - len(pairs),
        differing=differing,
        overlap=statistics.fmean(overlaps) if overlaps else 1.0,
    )


def _differ(a: Sample, b: Sample, with_vectors: bool) -> bool:
    one, two = dict(a["_source"]), dict(b["_source"])
    for known in (one, two):
        known.pop(BANDS_FIELD, None)  # derived, and lacking where an earlier version wrote
    v = np.array(one.pop(VECTOR_FIELD), np.float64)
    w = np.array(two.pop(VECTOR_FIELD), np.float64)
    if not with_vectors:  # filled from outside: stored at another time
        one.pop("indexed_at", None)
        two.pop("indexed_at", None)
    if one != two:
        return True
    return with_vectors and bool(v @ w < _SAME * np.linalg.norm(v) * np.linalg.norm(w))


async def _nearest(
    cluster: Cluster, revision: Revision, vectors: Sequence[NDArray[np.float32]]
) -> list[set[str]]:
    searches = [KnnSearch(v, NEIGHBORS, 100, fields=walking.NOTHING) for v in vectors]
    return [set(_ids(found)) for found in await _search(cluster, revision, searches)]


def _ids(answer: searching.Answer) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


async def _search(
    cluster: Cluster, revision: Revision, searches: Sequence[KnnSearch]
) -> list[searching.Answer]:
    answers = []
    for answer in await searching.search_all(cluster, [(revision, each) for each in searches]):
        if isinstance(answer, Exception):
            raise answer
        answers.append(answer)
    return answers


@dataclass(frozen=True)
class Recall:
    """Recall with a number of candidates: mean and least over the samples, and the time."""

    num_candidates: int
    mean: float
    least: float
    took_ms: float


async def measure_recall(
    cluster: Cluster, revision: Revision, samples: int, k: int, candidates: Sequence[int]
) -> tuple[list[Recall], int]:
    """Compares approximate searches with exact ones, for sampled documents' vectors.

    The exact neighbours are found without scripts: ids are digests, so their first digits split
    the index into parts, small enough for every vector in one to be compared.

    Args:
        cluster: Where it is.
        revision: Of which.
        samples: How many vectors to search with.
        k: How many neighbours.
        candidates: Values of `num_candidates`.

    Returns:
        One for each of `candidates`, and the number of samples.
    """
    picked = await sample(cluster, revision, samples)
    parts = _parts(await walking.count(cluster, revision, None))
    recalls: dict[int, list[float]] = {each: [] for each in candidates}
    took: dict[int, list[float]] = {each: [] for each in candidates}
    for found in picked:
        vector = vector_of(found)
        nearest = await _exact(cluster, revision, vector, k, parts)
        for each in candidates:
            search = KnnSearch(vector, k, each, fields=walking.NOTHING)
            (answer,) = await _search(cluster, revision, [search])
            near = [hit["_score"] for hit in answer["hits"]["hits"]]
            hits = sum(score >= nearest[-1] - _EQUAL for score in near)
            recalls[each].append(min(1.0, hits / len(nearest)))
            took[each].append(answer["took"])
    return [
        Recall(
            each,
            statistics.fmean(recalls[each]) if picked else 1.0,
            min(recalls[each], default=1.0),
            statistics.median(took[each]) if picked else 0.0,
        )
        for each in candidates
    ], len(picked)


def _parts(documents_: int) -> list[str]:
    digits = 0
    while documents_ / 16**digits > _ALL_COMPARED:
        digits += 1
    return [f"{n:0{digits}x}" if digits else "" for n in range(16**digits)]


async def _exact(
    cluster: Cluster, revision: Revision, vector: NDArray[np.float32], k: int, parts: Sequence[str]
) -> list[float]:
    """The scores of the k nearest documents, all compared, best first."""
    oversample = 10.0 if not revision.options.vector_type.startswith(("hnsw", "flat")) else None
    scores: list[float] = []
    for some in batched(parts, _AT_ONCE):
        searches = [
            KnnSearch(
                vector,
                max(k, 100),
                10_000,
                query={"prefix": {"image_id": {"value": part}}} if part else {"match_all": {}},
                fields=walking.NOTHING,
                oversample=oversample,
            )
            for part in some
        ]
        for answer in await _search(cluster, revision, searches):
            scores += [hit["_score"] for hit in answer["hits"]["hits"]]
    return sorted(scores, reverse=True)[:k]
