"""Bulk writes: each document created, or merged with what is known, under concurrency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from search_service.bulk import bulk, item_error, item_of
from search_service.cluster import Cluster, pause
from search_service.documents import get
from search_service.errors import ConflictError, NotReadyError, OverloadedError
from search_service.mappings import VECTOR_FIELD
from search_service.merge import merged
from search_service.records import Source
from service_kit.errors import ServiceError

_ROUNDS = 8
"""How often a document is tried: conflicts and refusals under load come on top of each other."""


class Outcome(Enum):
    """What an upsert did, named as in the contract."""

    CREATED = "created"
    MERGED = "merged"
    UNCHANGED = "unchanged"


Result = Outcome | Exception
"""What became of a document: what was done, or why it is not stored."""


@dataclass(frozen=True)
class Upsert:
    """A document to write.

    Attributes:
        record: The document, without its vector.
        vector: Its vector.
        size: About how many bytes it takes in a bulk request.
    """

    record: Source
    vector: Sequence[float]
    size: int

    @property
    def image_id(self) -> str:
        """The document's id."""
        image_id: str = self.record["image_id"]
        return image_id


@dataclass
class _Write:
    """One operation of a bulk request, and what its success means."""

    action: dict[str, Any]
    record: Source
    outcome: Outcome


def _create(upsert: Upsert) -> _Write:
    return _Write({"create": {"_id": upsert.image_id}}, upsert.record, Outcome.CREATED)


async def upsert_all(
    cluster: Cluster, index: str, upserts: Sequence[Upsert], refresh: str
) -> list[Result]:
    """Writes documents; returns only when Elasticsearch has acknowledged or refused each.

    A document is created; if there is one of its id, the two are merged and written
    under the condition that nobody else has written meanwhile (`if_seq_no`). What
    Elasticsearch refuses under load is sent again with growing pauses.

    Args:
        cluster: Where to.
        index: Name of the index.
        upserts: The documents; some may be of the same id.
        refresh: Elasticsearch's `refresh` parameter.

    Returns:
        What became of each, in order.
    """
    leaders: dict[str, Upsert] = {}
    followers: dict[int, Outcome] = {}
    for i, upsert in enumerate(upserts):
        first = leaders.get(upsert.image_id)
        if first is None:
            leaders[upsert.image_id] = upsert
        elif (record := merged(first.record, upsert.record)) is None:
            followers[i] = Outcome.UNCHANGED
        else:
            leaders[upsert.image_id] = replace(first, record=record)
            followers[i] = Outcome.MERGED
    results = await _upsert_distinct(cluster, index, list(leaders.values()), refresh)
    by_id = dict(zip(leaders, results, strict=True))
    return [
        followers[i] if i in followers and isinstance(result, Outcome) else result
        for i, result in enumerate(by_id[each.image_id] for each in upserts)
    ]


async def _upsert_distinct(
    cluster: Cluster, index: str, upserts: Sequence[Upsert], refresh: str
) -> list[Result]:
    results: list[Result] = [ConflictError(each.image_id) for each in upserts]
    writes = {i: _create(each) for i, each in enumerate(upserts)}
    for number in range(_ROUNDS):
        conflicts, refused = await _write(cluster, index, upserts, writes, refresh, results)
        writes = {i: write for i, write in writes.items() if i in refused}
        if conflicts:
            try:
                writes |= await _merges(cluster, index, upserts, conflicts, results)
            except ServiceError as error:
                for i in conflicts:
                    results[i] = error
        if not writes or (refused and not await pause(number)):
            break
    return results


async def _write(
    cluster: Cluster,
    index: str,
    upserts: Sequence[Upsert],
    writes: Mapping[int, _Write],
    refresh: str,
    results: list[Result],
) -> tuple[list[int], set[int]]:
    """Sends one bulk request. Answers which were in conflict, and which to send again."""
    operations: list[Mapping[str, Any]] = []
    for i, write in writes.items():
        operations += [write.action, {**write.record, VECTOR_FIELD: list(upserts[i].vector)}]
    try:
        items = await bulk(cluster, index, operations, refresh)
    except Exception as error:  # of the whole request: each document's own
        for i in writes:
            results[i] = error
        again = isinstance(error, OverloadedError | NotReadyError)
        return [], set(writes) if again else set()
    conflicts, refused = [], set()
    for (i, write), answer in zip(writes.items(), items, strict=True):
        item = item_of(answer)
        if item["status"] in (200, 201):
            results[i] = write.outcome
        elif item["status"] == 409:
            results[i] = ConflictError(upserts[i].image_id)
            conflicts.append(i)
        else:
            results[i] = why = item_error(item, index, upserts[i].image_id)
            if isinstance(why, OverloadedError | NotReadyError):
                refused.add(i)
    return conflicts, refused


async def _merges(
    cluster: Cluster,
    index: str,
    upserts: Sequence[Upsert],
    conflicts: Sequence[int],
    results: list[Result],
) -> dict[int, _Write]:
    """Reads the documents that are there already; answers the writes that join both."""
    writes: dict[int, _Write] = {}
    found = await get(cluster, index, [upserts[i].image_id for i in conflicts])
    for i, known in zip(conflicts, found, strict=True):
        if known is None:  # deleted since
            writes[i] = _create(upserts[i])
        elif (record := merged(known["_source"], upserts[i].record)) is None:
            results[i] = Outcome.UNCHANGED
        else:
            condition = {
                "_id": upserts[i].image_id,
                "if_seq_no": known["_seq_no"],
                "if_primary_term": known["_primary_term"],
            }
            writes[i] = _Write({"index": condition}, record, Outcome.MERGED)
    return writes
