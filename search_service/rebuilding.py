"""RebuildIndex: a revision with other options, filled and promoted while the index is in use.

Each step may be done again, and what it has done is written down before the next one begins.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from search_service import copying, walking
from search_service.cluster import Cluster
from search_service.errors import (
    IndexNotFoundError,
    RevisionNotFoundError,
    RevisionStateError,
)
from search_service.failures import errors_of
from search_service.indexes import CACHE_S, Indexes
from search_service.mappings import Index, Options, Revision
from search_service.operations import Task
from search_service.revisions import Gate, Revisions
from service_kit.errors import RetryableError, ServiceError

KIND = "rebuild"

# Walks after the first that find something to do before it is given up: writes that were not
# acknowledged may be in one revision alone, and each walk finds them.
_WALKS = 10

_MERGE_S = 24 * 3600.0


class Rebuild:
    """Works on rebuilds.

    Args:
        cluster: Where the indexes are.
        indexes: What there is.
        revisions: Makes, compares and promotes.
    """

    def __init__(self, cluster: Cluster, indexes: Indexes, revisions: Revisions) -> None:
        self._cluster = cluster
        self._indexes = indexes
        self._revisions = revisions

    async def __call__(self, task: Task) -> Mapping[str, Any]:
        """Goes on from the step that was written down last."""
        try:
            return await self._go_on(task)
        except RetryableError:
            raise
        except ServiceError:
            await self._undo(task)
            raise

    async def _go_on(self, task: Task) -> Mapping[str, Any]:
        record = task.record
        name, state = record.index, record.state
        if "revision" not in state:
            await self._create(task)
        index, target = await self._pair(task)
        await self._indexes.upgrade(index)
        if state.get("promoted") or target.live:
            return await self._finish(task)
        await self._step(task, "waiting until every server writes to both")
        # Writes that end later are in both revisions; those that ended before are copied.
        await asyncio.sleep(CACHE_S + 0.5)
        for walk in range(_WALKS + 1):
            await self._step(task, "copying" if not walk else f"checking ({walk})")
            if not await self._walk(task):
                break
        else:
            raise RevisionStateError("the revisions do not become the same; something writes past")
        if record.request["optimize"]:
            await self._step(task, "merging")
            await self._merge(await self._pair(task))
        await self._step(task, "comparing and promoting")
        gate = Gate(**record.request["gate"])
        index, _ = await self._pair(task)
        state["previous"] = index.live.number  # written before it is true no longer
        await task.save()
        _, comparison = await self._revisions.promote(name, state["revision"], gate)
        state["promoted"] = True
        state["comparison"] = asdict(comparison) if comparison else None
        await task.save()
        return await self._finish(task)

    async def _step(self, task: Task, step: str) -> None:
        task.record.step, task.record.documents_done = step, 0
        await task.save()

    async def _create(self, task: Task) -> None:
        record = task.record
        index = await self._indexes.get_now(record.index)
        made = [each for each in index.revisions if each.operation == record.id]
        if not made:  # else it was made, and its maker killed before it wrote that down
            options = Options(**record.request["options"])
            made = [await self._revisions.create(record.index, "", options, record.id)]
        record.state["revision"] = made[0].number
        record.state["after"] = ""
        await task.save()

    async def _pair(self, task: Task) -> tuple[Index, Revision]:
        return await self._revisions.get(task.record.index, task.record.state["revision"])

    async def _walk(self, task: Task) -> int:
        """Walks over both revisions; gives how much differed, or was not looked at."""
        record = task.record
        index, target = await self._pair(task)
        for revision in (index.live, target):
            await self._indexes.refresh(revision)
        record.documents_total = await walking.count(self._cluster, index.live, None)
        copied = 0

        async def progress(after: str, count: int) -> None:
            nonlocal copied
            copied += count
            record.documents_done += count
            record.state["after"] = after
            await task.save()

        after = record.state["after"]
        await copying.copy_missing(self._cluster, index.live, target, after, progress)
        return copied + bool(after)

    async def _merge(self, pair: tuple[Index, Revision]) -> None:
        _, target = pair
        with errors_of(target.name):
            await self._cluster.patient(_MERGE_S).indices.forcemerge(
                index=target.physical, max_num_segments=1
            )

    async def _finish(self, task: Task) -> Mapping[str, Any]:
        record = task.record
        name, state = record.index, record.state
        if record.request["delete_previous"]:
            await self._step(task, "deleting the revision before")
            with suppress(RevisionNotFoundError):  # done already
                await self._revisions.delete(name, state["previous"])
        return {"revision": state["revision"], "comparison": state.get("comparison")}

    async def _undo(self, task: Task) -> None:
        """Deletes the revision that this operation made, unless it is live."""
        try:
            index = await self._indexes.get_now(task.record.index)
        except IndexNotFoundError:
            return
        for revision in index.others:
            if revision.operation == task.record.id and not revision.epoch:
                await self._indexes.delete_revision(revision)
