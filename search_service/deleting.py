"""Deletes documents from an index and from the revisions that are kept in step with it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from search_service import documents, walking
from search_service.cluster import Cluster
from search_service.indexes import Indexes
from search_service.mirroring import Mirror
from service_kit.deadlines import remaining

_PAGE = 1_000

# Seconds before the caller's deadline at which deleting by filter ends, to say how far it came.
_MARGIN_S = 2.0


class Deleter:
    """Deletes documents.

    Args:
        cluster: Where they are.
        indexes: What the indexes are.
        mirror: Tells the other revisions.
    """

    def __init__(self, cluster: Cluster, indexes: Indexes, mirror: Mirror) -> None:
        self._cluster = cluster
        self._indexes = indexes
        self._mirror = mirror

    async def delete(
        self,
        name: str,
        image_ids: Sequence[str],
        refresh: str,
        conditions: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
    ) -> dict[str, bool]:
        """Deletes documents by id.

        Args:
            name: Of the index.
            image_ids: Ids.
            refresh: Elasticsearch's `refresh` parameter.
            conditions: As `documents.delete` takes them.

        Returns:
            Each id, and whether it was there.

        Raises:
            ServiceError: Some may not be deleted; it is safe to call again.
        """
        deleted = await documents.delete(self._cluster, name, image_ids, refresh, conditions)
        failed = await self._mirror.follow(name, deleted.written)
        for error in failed.values():
            raise error
        return deleted.was_there

    async def delete_matching(self, name: str, query: Mapping[str, Any]) -> tuple[int, bool]:
        """Deletes what matches, as long as the caller has time.

        A document that is changed between being found and being deleted is found again, and
        deleted only if it still matches.

        Returns:
            How many were deleted, and whether none is left of those that searches saw.

        Raises:
            ServiceError: Elasticsearch does not answer; it is safe to call again.
        """
        count = 0
        while True:
            live = (await self._indexes.get_now(name)).live
            missed, after = 0, ""
            while found := await walking.page(
                self._cluster, live, after, _PAGE, query=query, fields=walking.NOTHING
            ):
                if remaining(float("inf")) < _MARGIN_S:
                    return count, False
                after = found[-1]["_id"]
                conditions = {
                    hit["_id"]: {
                        "if_seq_no": hit["_seq_no"],
                        "if_primary_term": hit["_primary_term"],
                    }
                    for hit in found
                }
                deleted = await self.delete(name, list(conditions), "false", conditions)
                done = sum(deleted.values())
                count, missed = count + done, missed + len(found) - done
            if not missed:
                return count, True
            await self._indexes.refresh(live)
