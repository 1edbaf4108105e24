"""Bulk writes: each document created, or merged with what is known, under concurrency."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_service.bulk import batched, bulk, item_error, item_of, line_of
from search_service.cluster import Cluster, pause
from search_service.documents import get
from search_service.errors import ConflictError, NotReadyError, OverloadedError
from search_service.mappings import is_revision
from search_service.merge import merged
from search_service.mirroring import Mirror, Written
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
        vector: (dimensions,).
        size: About how many bytes it takes in a bulk request.
    """

    record: Source
    vector: NDArray[np.float32]
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
    line: bytes
    outcome: Outcome


@dataclass
class Upserted:
    """What became of documents.

    Attributes:
        results: Of each, in order.
        written: What the index has now of those that are stored, each once.
    """

    results: list[Result]
    written: list[Written] = field(default_factory=list)


async def upsert_all(
    cluster: Cluster, alias: str, upserts: Sequence[Upsert], refresh: str
) -> Upserted:
    """Writes documents; returns only when Elasticsearch has acknowledged or refused each.

    A document is created; if there is one of its id, the two are merged and written
    under the condition that nobody else has written meanwhile (`if_seq_no`). What
    Elasticsearch refuses under load is sent again with growing pauses.

    Args:
        cluster: Where to.
        alias: Name of the index, or alias of a revision.
        upserts: The documents; some may be of the same id.
        refresh: Elasticsearch's `refresh` parameter.
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
    run = _Run(cluster, alias, list(leaders.values()), refresh, await cluster.packs_vectors())
    await run.run()
    by_id = dict(zip(leaders, run.results, strict=True))
    results = [
        followers[i] if i in followers and isinstance(result, Outcome) else result
        for i, result in enumerate(by_id[each.image_id] for each in upserts)
    ]
    return Upserted(results, list(run.written.values()))


async def upsert_and_mirror(
    cluster: Cluster, mirror: Mirror, alias: str, upserts: Sequence[Upsert], refresh: str
) -> list[Result]:
    """Writes documents to an index and to all its revisions; or to one revision alone.

    Args:
        cluster: Where to.
        mirror: Tells the other revisions.
        alias: Name of the index, or alias of a revision.
        upserts: The documents.
        refresh: Elasticsearch's `refresh` parameter, of the live revision.

    Returns:
        What became of each, in order: success only where every revision has it.
    """
    done = await upsert_all(cluster, alias, upserts, refresh)
    if is_revision(alias):
        return done.results
    failed = await mirror.follow(alias, done.written)
    return [
        failed.get(upsert.image_id, result) if isinstance(result, Outcome) else result
        for upsert, result in zip(upserts, done.results, strict=True)
    ]


class _Run:
    """The rounds that documents of different ids take until each is stored or refused."""

    def __init__(
        self, cluster: Cluster, alias: str, upserts: Sequence[Upsert], refresh: str, packed: bool
    ) -> None:
        self._cluster = cluster
        self._alias = alias
        self._upserts = upserts
        self._refresh = refresh
        self._packed = packed
        self.results: list[Result] = [ConflictError(each.image_id) for each in upserts]
        self.written: dict[int, Written] = {}

    async def run(self) -> None:
        writes = {i: self._create(i) for i in range(len(self._upserts))}
        requests = 1
        for number in range(_ROUNDS):
            conflicts, refused = await self._write(writes, requests)
            writes = {i: write for i, write in writes.items() if i in refused}
            if refused:
                requests *= 2  # smaller ones find room sooner
            if conflicts:
                try:
                    writes |= await self._merges(conflicts)
                except ServiceError as error:
                    for i in conflicts:
                        self.results[i] = error
            # Conflicts: somebody else writes the same, so not in step with them.
            if not writes or ((refused or number > 1) and not await pause(number)):
                break

    async def _write(
        self, writes: Mapping[int, _Write], requests: int
    ) -> tuple[list[int], set[int]]:
        """Writes in some requests. Answers which were in conflict, and which to send again."""
        conflicts: list[int] = []
        refused: set[int] = set()
        size = math.ceil(len(writes) / requests)
        for some in batched(writes, size):
            more = await self._send({i: writes[i] for i in some})
            conflicts += more[0]
            refused |= more[1]
        return conflicts, refused

    def _create(self, i: int) -> _Write:
        upsert = self._upserts[i]
        line = line_of(upsert.record, upsert.vector, self._packed)
        return _Write({"create": {"_id": upsert.image_id}}, line, Outcome.CREATED)

    async def _send(self, writes: Mapping[int, _Write]) -> tuple[list[int], set[int]]:
        operations = [(write.action, write.line) for write in writes.values()]
        try:
            items = await bulk(self._cluster, self._alias, operations, self._refresh)
        except Exception as error:  # of the whole request: each document's own
            for i in writes:
                self.results[i] = error
            again = isinstance(error, OverloadedError | NotReadyError)
            return [], set(writes) if again else set()
        conflicts, refused = [], set()
        for (i, write), answer in zip(writes.items(), items, strict=True):
            item = item_of(answer)
            image_id = self._upserts[i].image_id
            if item["status"] in (200, 201):
                self.results[i] = write.outcome
                self.written[i] = Written(image_id, item["_index"], item["_seq_no"], write.line)
            elif item["status"] == 409:
                self.results[i] = ConflictError(image_id)
                conflicts.append(i)
            else:
                self.results[i] = why = item_error(item, self._alias, image_id)
                if isinstance(why, OverloadedError | NotReadyError):
                    refused.add(i)
        return conflicts, refused

    async def _merges(self, conflicts: Sequence[int]) -> dict[int, _Write]:
        """Reads the documents that are there already; answers the writes that join both."""
        writes: dict[int, _Write] = {}
        found = await get(
            self._cluster, self._alias, [self._upserts[i].image_id for i in conflicts]
        )
        for i, known in zip(conflicts, found, strict=True):
            upsert = self._upserts[i]
            if known is None:  # deleted since
                writes[i] = self._create(i)
            elif (record := merged(known["_source"], upsert.record)) is None:
                self.results[i] = Outcome.UNCHANGED
                line = line_of(known["_source"], upsert.vector, self._packed)
                self.written[i] = Written(upsert.image_id, known["_index"], known["_seq_no"], line)
            else:
                condition = {
                    "_id": upsert.image_id,
                    "if_seq_no": known["_seq_no"],
                    "if_primary_term": known["_primary_term"],
                }
                line = line_of(record, upsert.vector, self._packed)
                writes[i] = _Write({"index": condition}, line, Outcome.MERGED)
        return writes
