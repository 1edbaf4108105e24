"""Documents of an index: reading, deleting, searching."""

from collections.abc import Mapping, Sequence
from typing import Any

from search_service.bulk import bulk, item_error, item_of
from search_service.cluster import Cluster, errors_of, patiently
from search_service.errors import OverloadedError
from search_service.mappings import VECTOR_FIELD
from search_service.queries import KnnSearch, knn_body

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
    parameters = {} if not vectors else await cluster.vector_parameters()
    if not vectors:
        parameters = {"_source_excludes": VECTOR_FIELD}

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


async def delete(
    cluster: Cluster, index: str, image_ids: Sequence[str], refresh: str
) -> dict[str, bool]:
    """Deletes documents.

    Args:
        cluster: Where they are.
        index: Name of the index.
        image_ids: Ids.
        refresh: Elasticsearch's `refresh` parameter.

    Returns:
        Each id, and whether it was there.

    Raises:
        ServiceError: Some may not be deleted; it is safe to call again.
    """
    was_there: dict[str, bool] = {}

    async def attempt() -> None:
        ids = [image_id for image_id in dict.fromkeys(image_ids) if image_id not in was_there]
        items = await bulk(cluster, index, [{"delete": {"_id": each}} for each in ids], refresh)
        failure: Exception | None = None
        for image_id, answer in zip(ids, items, strict=True):
            item = item_of(answer)
            if item["status"] in (200, 404) and "error" not in item:
                was_there[image_id] = item["status"] == 200
            else:
                failure = item_error(item, index, image_id)
                if isinstance(failure, OverloadedError):
                    break
        if failure is not None:
            raise failure

    await patiently(attempt)
    return was_there


async def search(
    cluster: Cluster, index: str, query: KnnSearch, similarity: str
) -> Mapping[str, Any]:
    """Searches. Answers Elasticsearch's body; a shard that cannot answer is an error."""
    body = knn_body(query, similarity)

    async def ask() -> Mapping[str, Any]:
        with errors_of(index):
            answer = await cluster.reading().search(
                index=index,
                knn=body["knn"],
                size=body["size"],
                source=body["_source"],
                track_total_hits=body["track_total_hits"],
                allow_partial_search_results=False,
            )
            found: Mapping[str, Any] = answer.body
            return found

    return await patiently(ask)
