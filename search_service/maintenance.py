"""Merging, snapshots and restoring: long work that Elasticsearch does by itself."""

import asyncio
from collections.abc import Mapping
from typing import Any

from elasticsearch import BadRequestError

from search_service.cluster import Cluster
from search_service.errors import IndexExistsError, IndexNotFoundError, SnapshotError
from search_service.failures import errors_of
from search_service.indexes import Indexes
from search_service.mappings import revision_of
from search_service.operations import Task

OPTIMIZE = "optimize"
SNAPSHOT = "snapshot"
RESTORE = "restore"

_MERGE_S = 24 * 3600.0
_LOOK_S = 0.5


class Maintenance:
    """Works on the operations of an index that is in use.

    Args:
        cluster: Where it is.
        indexes: What there is.
    """

    def __init__(self, cluster: Cluster, indexes: Indexes) -> None:
        self._cluster = cluster
        self._indexes = indexes

    async def optimize(self, task: Task) -> Mapping[str, Any]:
        """Merges segments. Begun again, it merges what is left."""
        task.record.step = "merging"
        await task.save()
        live = (await self._indexes.get_now(task.record.index)).live
        with errors_of(live.name):
            await self._cluster.patient(_MERGE_S).indices.forcemerge(
                index=live.physical, max_num_segments=task.record.request["max_segments"]
            )
        await self._indexes.refresh(live)
        return {}

    async def snapshot(self, task: Task) -> Mapping[str, Any]:
        """Makes a snapshot of the live revision. Begun again, it waits for the same one.

        Raises:
            SnapshotError: Elasticsearch cannot make it.
        """
        request = task.record.request
        repository, snapshot = request["repository"], request["snapshot"]
        live = (await self._indexes.get_now(task.record.index)).live
        if not task.record.state.get("begun"):
            task.record.step = "copying"
            await task.save()
            try:
                with errors_of(live.name):
                    await self._cluster.writing().snapshot.create(
                        repository=repository,
                        snapshot=snapshot,
                        indices=live.physical,
                        include_global_state=False,
                        wait_for_completion=False,
                    )
            except BadRequestError as error:
                # Of this very name, it may be ours: made, and its maker killed since.
                if "exists" not in str(error) or task.record.id not in snapshot:
                    raise SnapshotError(str(error.message)) from error
            task.record.state["begun"] = True
            await task.save()
        while True:
            with errors_of(live.name):
                answer = await self._cluster.reading().snapshot.get(
                    repository=repository, snapshot=snapshot
                )
            state = answer["snapshots"][0]["state"]
            if state == "SUCCESS":
                return {"snapshot": snapshot}
            if state != "IN_PROGRESS":
                raise SnapshotError(f"snapshot {snapshot!r} ended as {state}")
            await asyncio.sleep(_LOOK_S)
            await task.save()

    async def restore(self, task: Task) -> Mapping[str, Any]:
        """Brings an index back. Begun again, it waits for the same one.

        Raises:
            SnapshotError: There is no such snapshot, or it is not of an index made here.
            IndexExistsError: The index is there.
        """
        record = task.record
        repository, snapshot = record.request["repository"], record.request["snapshot"]
        if not record.state.get("begun"):
            with errors_of(snapshot):
                answer = await self._cluster.reading().snapshot.get(
                    repository=repository, snapshot=snapshot
                )
            names = [n for n in answer["snapshots"][0]["indices"] if not n.startswith(".")]
            if len(names) != 1:
                raise SnapshotError(f"snapshot {snapshot!r} is not one that SnapshotIndex made")
            record.state["physical"] = names[0]
            record.index = names[0].rpartition("-")[0]
            await self._refuse_if_there(record.index)
            record.step = "copying"
            await task.save()
            with errors_of(record.index):
                await self._cluster.writing().snapshot.restore(
                    repository=repository,
                    snapshot=snapshot,
                    indices=names[0],
                    include_aliases=True,
                    include_global_state=False,
                    wait_for_completion=False,
                )
            record.state["begun"] = True
            await task.save()
        await self._until_there(task, record.state["physical"])
        self._indexes.forget(record.index)
        return {}

    async def _refuse_if_there(self, name: str) -> None:
        try:
            await self._indexes.get_now(name)
        except IndexNotFoundError:
            return
        raise IndexExistsError(name)

    async def _until_there(self, task: Task, physical: str) -> None:
        while True:
            with errors_of(task.record.index):
                health = await self._cluster.reading().cluster.health(
                    index=physical, timeout="0s", wait_for_status="red"
                )
            if health["status"] in ("green", "yellow"):
                break
            await asyncio.sleep(_LOOK_S)
            await task.save()
        with errors_of(task.record.index):
            described = await self._cluster.reading().indices.get(index=physical)
        if (revision := revision_of(physical, described[physical])) is None:
            raise SnapshotError(f"index {physical!r} was not made by this service")
        await self._indexes.refresh(revision)  # or it is counted and searched as if it were empty
