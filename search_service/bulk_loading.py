"""Bulk loads: an index without refreshes and replicas while many documents are written to it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from search_service.cluster import Cluster
from search_service.errors import IndexNotFoundError
from search_service.failures import errors_of
from search_service.indexes import Indexes, standing_settings
from search_service.operations import Operations, Task

KIND = "bulk_load"

_LOADING = {"refresh_interval": "-1", "auto_expand_replicas": False, "number_of_replicas": 0}
_MERGE_S = 24 * 3600.0


class BulkLoads:
    """Switches indexes to loading while a stream loads into them, and back.

    The way back is an operation, written down before the index is switched: when this server
    is killed, the next one finds that nobody loads any more, and switches back.

    Args:
        cluster: Where the indexes are.
        indexes: What there is.
    """

    operations: Operations
    """Set once, before the first load."""

    def __init__(self, cluster: Cluster, indexes: Indexes) -> None:
        self._cluster = cluster
        self._indexes = indexes
        self._loading: Counter[str] = Counter()
        self._changed = asyncio.Condition()
        self._switching: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def stream(self) -> AsyncIterator["Load"]:
        """What one stream loads; ends with it."""
        load = Load(self)
        try:
            yield load
        finally:
            await load.settle()
            async with self._changed:
                for name in load.names:
                    self._loading[name] -= 1
                self._changed.notify_all()

    async def begin(self, name: str) -> None:
        """Counts a load in; returns when the index is switched.

        Raises:
            ServiceError: It cannot be.
        """
        self._loading[name] += 1
        switching = self._switching.get(name)
        if switching is None:
            switching = self._switching[name] = asyncio.create_task(self._switch(name))
        try:
            await asyncio.shield(switching)
        except BaseException:
            self._loading[name] -= 1
            raise

    async def _switch(self, name: str) -> None:
        try:
            live = (await self._indexes.get_now(name)).live
            await self.operations.start(self.operations.new(KIND, name, {}))
            await self._indexes.set(live, _LOADING)
        except BaseException:
            self._switching.pop(name, None)
            raise

    async def __call__(self, task: Task) -> Mapping[str, Any]:
        """Waits until nobody loads here any more, then restores the index and merges it."""
        name = task.record.index
        task.record.step = "loading"
        await task.save()
        async with self._changed:
            await self._changed.wait_for(lambda: not self._loading[name])
        self._switching.pop(name, None)
        others = [
            record
            for record, _ in await self.operations.store.all(running=True)
            if record.kind == KIND and record.index == name and record.id != task.record.id
        ]
        if others:  # the last one restores it
            return {}
        try:
            live = (await self._indexes.get_now(name)).live
        except IndexNotFoundError:
            return {}
        await self._indexes.set(live, standing_settings(live.options))
        await self._indexes.refresh(live)
        task.record.step = "merging"
        await task.save()
        with errors_of(name):
            await self._cluster.patient(_MERGE_S).indices.forcemerge(
                index=live.physical, max_num_segments=1
            )
        return {}


class Load:
    """What one stream loads."""

    def __init__(self, loads: BulkLoads) -> None:
        self._loads = loads
        self._begun: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> list[str]:
        """The indexes that were switched for it."""
        return [name for name, begun in self._begun.items() if begun.exception() is None]

    async def settle(self) -> None:
        """Waits until each index is switched, or cannot be."""
        if self._begun:
            await asyncio.wait(self._begun.values())

    async def into(self, name: str) -> None:
        """Switches an index to loading, the first time.

        Raises:
            ServiceError: It cannot be.
        """
        if name not in self._begun:
            self._begun[name] = asyncio.create_task(self._loads.begin(name))
        await asyncio.shield(self._begun[name])
