"""The life of an index in Elasticsearch."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from elasticsearch import BadRequestError

from search_service.cluster import Cluster, patiently
from search_service.errors import IndexNotFoundError
from search_service.failures import errors_of, reason_of
from search_service.mappings import (
    DESCRIBED,
    Index,
    Options,
    Revision,
    index_body,
    lacking_properties,
    meta_of,
    replica_settings,
    revision_of,
)
from search_service.records import now
from service_kit.errors import InvalidRequestError

CACHE_S = 2.0
"""How long what is known of an index is trusted. Another server may have changed it meanwhile."""

_CACHED = 1_000


@dataclass(frozen=True)
class Statistics:
    """What a revision holds now.

    Attributes:
        documents: Those that searches see.
        size_bytes: On disk, copies included.
        segments: Of the primary shards.
        health: "green", "yellow", "red", or "" where Elasticsearch does not say.
    """

    documents: int
    size_bytes: int
    segments: int
    health: str


class Indexes:
    """Creates, describes, changes and deletes indexes. Only those made here are touched.

    Args:
        cluster: Where they are.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[str, tuple[float, Index]] = {}

    async def create(self, name: str, space: str, options: Options) -> Index:
        """Creates an index.

        Raises:
            IndexExistsError: The name is taken.
            InvalidRequestError: Elasticsearch cannot make one with these options.
        """
        revision = Revision(name, 1, space, options, now(), epoch=1, live=True)
        await self.create_revision(revision)
        return Index(revision)

    async def create_revision(self, revision: Revision) -> None:
        """Creates the physical index of a revision.

        Raises:
            IndexExistsError: There is one of its name.
            InvalidRequestError: Elasticsearch cannot make one with these options.
        """
        try:
            with errors_of(revision.name):
                await self._cluster.writing().indices.create(
                    index=revision.physical, **index_body(revision)
                )
        except BadRequestError as error:
            raise InvalidRequestError([("options", reason_of(error.body))]) from error
        self.forget(revision.name)

    async def get(self, name: str) -> Index:
        """Looks an index up; from memory if it was looked up a moment ago.

        Raises:
            IndexNotFoundError: There is none, or it was not made here.
        """
        known = self._known.get(name)
        if known is not None and time.monotonic() - known[0] < CACHE_S:
            return known[1]
        asked_at = time.monotonic()
        self.forget(name)
        # A name cannot end like "-000001": no other index's revisions are of this pattern's six
        # characters, but longer names may begin the same.
        found = _by_name(await self._described(f"{name}-0*"))
        if name not in found:
            raise IndexNotFoundError(name)
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[name] = (asked_at, found[name])
        return found[name]

    async def get_now(self, name: str) -> Index:
        """Looks an index up, past what is remembered.

        Raises:
            IndexNotFoundError: There is none, or it was not made here.
        """
        self.forget(name)
        return await self.get(name)

    def knows(self, name: str) -> bool:
        """Whether there was such an index a moment ago."""
        return name in self._known

    def forget(self, name: str) -> None:
        """Looks `name` up afresh next time."""
        self._known.pop(name, None)

    async def all(self) -> list[Index]:
        """All indexes, by name."""
        found = _by_name(await self._described("*"))
        return [found[name] for name in sorted(found)]

    async def _described(self, pattern: str) -> list[Revision]:
        async def ask() -> Any:
            with errors_of(pattern):
                return await self._cluster.reading().indices.get(
                    index=pattern, filter_path=DESCRIBED, allow_no_indices=True
                )

        described = await patiently(ask)
        revisions = (revision_of(name, body) for name, body in described.items())
        return [revision for revision in revisions if revision is not None]

    async def statistics(self, revisions: Sequence[Revision]) -> list[Statistics]:
        """What each revision holds; zeros for one that has just gone."""
        if not revisions:
            return []
        names = [revision.physical for revision in revisions]
        with errors_of(revisions[0].name):
            answer = await self._cluster.reading().indices.stats(
                index=",".join(names) if len(names) <= 10 else "*",
                metric=["docs", "store", "segments"],
                filter_path="indices.*.health,indices.*.primaries,indices.*.total.store",
            )
        found = answer.get("indices", {})
        return [_statistics(found.get(name, {})) for name in names]

    async def update(self, name: str, replicas: int | None, refresh_ms: int | None) -> None:
        """Changes settings of all revisions of an index; None leaves one as it is.

        Raises:
            IndexNotFoundError: There is none.
        """
        index = await self.get_now(name)
        for revision in index.revisions:
            options = revision.options
            if replicas is not None:
                options = replace(options, replicas=replicas)
            if refresh_ms is not None:
                options = replace(options, refresh_ms=refresh_ms)
            await self.remember(replace(revision, options=options))
            await self.set(revision, standing_settings(options))

    async def set(self, revision: Revision, settings: dict[str, Any]) -> None:
        """Changes settings of a revision."""
        with errors_of(revision.name):
            await self._cluster.writing().indices.put_settings(
                index=revision.physical, settings={"index": settings}
            )

    async def remember(self, revision: Revision) -> None:
        """Writes down what is known of a revision."""
        with errors_of(revision.name):
            await self._cluster.writing().indices.put_mapping(
                index=revision.physical, meta=meta_of(revision)
            )
        self.forget(revision.name)

    async def upgrade(self, index: Index) -> None:
        """Gives revisions that earlier versions made the fields that documents have now.

        What is in them keeps its form; only what is written from now on has all fields.
        """
        for revision in index.revisions:
            if revision.lacking:
                with errors_of(revision.name):
                    await self._cluster.writing().indices.put_mapping(
                        index=revision.physical, properties=lacking_properties(revision)
                    )
                self.forget(revision.name)

    async def refresh(self, revision: Revision) -> None:
        """Makes every acknowledged write visible to searches."""

        async def ask() -> None:
            with errors_of(revision.name):
                await self._cluster.writing().indices.refresh(index=revision.physical)

        await patiently(ask)

    async def make_live(self, old: Revision, new: Revision) -> None:
        """Moves the index's name from one revision to another, in one step."""
        with errors_of(old.name):
            await self._cluster.writing().indices.update_aliases(
                actions=[
                    {"remove": {"index": old.physical, "alias": old.name, "must_exist": True}},
                    {"add": {"index": new.physical, "alias": new.name, "is_write_index": True}},
                ]
            )
        self.forget(old.name)

    async def delete(self, name: str) -> None:
        """Deletes an index with its documents and all its revisions.

        Raises:
            IndexNotFoundError: There is none, or it was not made here.
        """
        index = await self.get_now(name)
        for revision in (*index.others, index.live):
            await self.delete_revision(revision)

    async def delete_revision(self, revision: Revision) -> None:
        """Deletes the physical index of a revision."""
        with errors_of(revision.name):
            await self._cluster.writing().indices.delete(index=revision.physical)
        self.forget(revision.name)


def standing_settings(options: Options) -> dict[str, Any]:
    """The settings that may change in an index's life, as its options have them."""
    refresh = None if options.refresh_ms is None else f"{options.refresh_ms}ms"
    return {"refresh_interval": refresh, **replica_settings(options)}


def _by_name(revisions: Iterable[Revision]) -> dict[str, Index]:
    groups: dict[str, list[Revision]] = {}
    for revision in sorted(revisions, key=lambda revision: revision.number):
        groups.setdefault(revision.name, []).append(revision)
    found = {}
    for name, group in groups.items():
        live = [revision for revision in group if revision.live]
        if len(live) == 1:
            found[name] = Index(live[0], tuple(r for r in group if not r.live))
    return found


def _statistics(found: dict[str, Any]) -> Statistics:
    primaries = found.get("primaries", {})
    return Statistics(
        documents=primaries.get("docs", {}).get("count", 0),
        size_bytes=found.get("total", {}).get("store", {}).get("size_in_bytes", 0),
        segments=primaries.get("segments", {}).get("count", 0),
        health=found.get("health", ""),
    )
