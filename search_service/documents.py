"""Documents of an index: reading and deleting by id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from search_service.bulk import bulk, item_error, item_of
from search_service.cluster import Cluster, patiently
from search_service.errors import OverloadedError
from search_service.failures import errors_of
from search_service.mappings import VECTOR_FIELD
from search_service.mirroring import Written

Found = Mapping[str, Any]
"""A document as Elasticsearch's "get" answers: `_source`, `_seq_no`, `_primary_term`."""

_JSON = {"accept": "application/json", "content-type": "application/json"}


async def get(
    cluster: Cluster, index: str, image_ids: Sequence[str], vectors: bool = False
) -> list[Found | None]:
    """Reads documents as last written; None for each that is not there.

    Args:
        cluster: Where they are.
        index: Name of the index.
        image_ids: Ids.
        vectors: Read the vectors too.
    """
    parameters = {} if vectors else {"_source_excludes": VECTOR_FIELD}
    if vectors and await cluster.leaves_vectors_out():
        parameters = {"_source_exclude_vectors": "false"}

    async def ask() -> Any:
        with errors_of(index):
            # The typed client has no parameter for vectors in `mget` yet.
            return await cluster.reading().perform_request(
                "POST",
                f"/{index}/_mget",
                params=parameters,
                headers=_JSON,
                body={"ids": list(image_ids)},
            )

    answer = await patiently(ask)
    return [doc if doc.get("found") else None for doc in answer["docs"]]


@dataclass
class Deleted:
    """What became of documents that were to be deleted.

    Attributes:
        was_there: Each id, and whether it was there.
        written: The deletions, as the index has them now.
    """

    was_there: dict[str, bool] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)


async def delete(
    cluster: Cluster,
    index: str,
    image_ids: Sequence[str],
    refresh: str,
    conditions: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
) -> Deleted:
    """Deletes documents.

    Args:
        cluster: Where they are.
        index: Name of the index.
        image_ids: Ids.
        refresh: Elasticsearch's `refresh` parameter.
        conditions: By id: `if_seq_no` and `if_primary_term` of the document to delete; one that
            was written since counts as not there.

    Raises:
        ServiceError: Some may not be deleted; it is safe to call again.
    """
    deleted = Deleted()

    async def attempt() -> None:
        ids = [each for each in dict.fromkeys(image_ids) if each not in deleted.was_there]
        actions = [({"delete": {"_id": each, **conditions.get(each, {})}}, None) for each in ids]
        items = await bulk(cluster, index, actions, refresh)
        failure: Exception | None = None
        for image_id, answer in zip(ids, items, strict=True):
            item = item_of(answer)
            if item["status"] in (200, 404) and "error" not in item:
                deleted.was_there[image_id] = item["status"] == 200
                number = item["_seq_no"]
                deleted.written.append(Written(image_id, item["_index"], number, None))
            elif item["status"] == 409:
                deleted.was_there[image_id] = False
            else:
                failure = item_error(item, index, image_id)
                if isinstance(failure, OverloadedError):
                    break
        if failure is not None:
            raise failure

    await patiently(attempt)
    return deleted
