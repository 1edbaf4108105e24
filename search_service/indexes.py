"""The life of an index in Elasticsearch."""

import time
from dataclasses import dataclass
from typing import Any

from search_service.cluster import Cluster, errors_of, patiently
from search_service.errors import IndexNotFoundError
from search_service.mappings import (
    Definition,
    Options,
    definition_of,
    index_body,
    physical_name,
)
from search_service.records import now

CACHE_S = 5.0
"""How long a definition is trusted. Another server may have replaced the index meanwhile."""

_CACHED = 1_000

_DESCRIBED = "*.aliases,*.mappings._meta"


@dataclass(frozen=True)
class Statistics:
    """What an index holds now.

    Attributes:
        documents: Those that searches see.
        size_bytes: On disk, copies included.
        health: "green", "yellow", "red", or "" where Elasticsearch does not say.
    """

    documents: int
    size_bytes: int
    health: str


class Indexes:
    """Creates, describes and deletes indexes. Only those this service has made are touched.

    Args:
        cluster: Where they are.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[str, tuple[float, Definition]] = {}

    async def create(self, name: str, space: str, options: Options) -> Definition:
        """Creates an index.

        Raises:
            IndexExistsError: The name is taken.
        """
        definition = Definition(name, physical_name(name), space, options, now())
        body = index_body(definition)
        with errors_of(name):
            await self._cluster.writing().indices.create(index=definition.physical, **body)
        self._known.pop(name, None)
        return definition

    async def definition(self, name: str) -> Definition:
        """Looks an index up; from memory if it was looked up a moment ago.

        Raises:
            IndexNotFoundError: There is none, or it is not ours.
        """
        known = self._known.get(name)
        if known is not None and time.monotonic() - known[0] < CACHE_S:
            return known[1]
        self._known.pop(name, None)
        found = [d for d in await self._described(name) if d.name == name]
        if not found:
            raise IndexNotFoundError(name)
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[name] = (time.monotonic(), found[0])
        return found[0]

    def forget(self, name: str) -> None:
        """Looks `name` up afresh next time."""
        self._known.pop(name, None)

    async def all(self) -> list[Definition]:
        """All indexes, by name."""
        return sorted(await self._described("*"), key=lambda definition: definition.name)

    async def _described(self, pattern: str) -> list[Definition]:
        async def ask() -> Any:
            with errors_of(pattern):
                return await self._cluster.reading().indices.get(
                    index=pattern, filter_path=_DESCRIBED
                )

        described = await patiently(ask)
        definitions = (definition_of(name, body) for name, body in described.items())
        return [definition for definition in definitions if definition is not None]

    async def statistics(self, definitions: list[Definition]) -> list[Statistics]:
        """What each index holds; zeros for one that has just gone."""
        if not definitions:
            return []
        names = [definition.physical for definition in definitions]
        with errors_of(definitions[0].name):
            answer = await self._cluster.reading().indices.stats(
                index=names[0] if len(names) == 1 else "*",
                metric=["docs", "store"],
                filter_path="indices.*.health,indices.*.primaries.docs,indices.*.total.store",
            )
        found = answer.get("indices", {})
        return [_statistics(found.get(name, {})) for name in names]

    async def refresh(self, name: str) -> None:
        """Makes every acknowledged write visible to searches.

        Raises:
            IndexNotFoundError: There is no such index.
        """
        definition = await self.definition(name)

        async def ask() -> None:
            with errors_of(name):
                await self._cluster.writing().indices.refresh(index=definition.physical)

        await patiently(ask)

    async def delete(self, name: str) -> None:
        """Deletes an index with its documents.

        Raises:
            IndexNotFoundError: There is none, or it is not ours.
        """
        self._known.pop(name, None)
        definition = await self.definition(name)
        self._known.pop(name, None)
        with errors_of(name):
            await self._cluster.writing().indices.delete(index=definition.physical)


def _statistics(found: dict[str, Any]) -> Statistics:
    return Statistics(
        documents=found.get("primaries", {}).get("docs", {}).get("count", 0),
        size_bytes=found.get("total", {}).get("store", {}).get("size_in_bytes", 0),
        health=found.get("health", ""),
    )
