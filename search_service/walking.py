"""All documents of a revision by id, page after page.

An id never changes and is unique, so a walk by id meets every document that is there all the
time exactly once, whatever is written meanwhile, and can be taken up again after any id.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from search_service.cluster import Cluster, patiently
from search_service.failures import errors_of
from search_service.hashes import BANDS_FIELD
from search_service.mappings import UNSEEN, VECTOR_FIELD, Revision

Hit = Mapping[str, Any]
"""`_id`, `_seq_no`, `_primary_term`, `_version`, `_source` where it was asked for."""

NOTHING: tuple[str, ...] = ("image_id",)
"""Fields for who wants no more than ids."""


async def page(
    cluster: Cluster,
    revision: Revision,
    after: str,
    size: int,
    *,
    upto: str = "",
    query: Mapping[str, Any] | None = None,
    fields: Sequence[str] = (),
    vectors: bool = False,
) -> list[Hit]:
    """Reads the documents that come after an id, by id.

    Args:
        cluster: Where they are.
        revision: Of which.
        after: An id, or "" for the first.
        size: Most documents.
        upto: The last id of interest; "": all.
        query: Only documents that match.
        fields: Fields of the source; empty: all but the vector.
        vectors: The vectors too.

    Raises:
        IndexNotFoundError: The revision is gone.
        ServiceError: Elasticsearch does not answer, or refuses the query.
    """
    among = {"gt": after} | ({"lte": upto} if upto else {})
    conditions: list[Mapping[str, Any]] = [{"range": {"image_id": among}}]
    if query is not None:
        conditions.append(query)
    body = {
        "query": {"bool": {"filter": conditions}},
        "sort": [{"image_id": "asc"}],
        "size": size,
        "_source": await _source(cluster, fields, vectors),
        "seq_no_primary_term": True,
        "version": True,
        "track_total_hits": False,
    }

    async def ask() -> list[Hit]:
        with errors_of(revision.name):
            answer = await cluster.reading().search(
                index=revision.physical, body=body, allow_partial_search_results=False
            )
            hits: list[Hit] = answer["hits"]["hits"]
            return hits

    return await patiently(ask)


async def _source(cluster: Cluster, fields: Sequence[str], vectors: bool) -> dict[str, Any]:
    if not vectors:
        return {"includes": list(fields)} if fields else {"excludes": list(UNSEEN)}
    source: dict[str, Any] = {"excludes": [BANDS_FIELD]}
    if fields:
        source = {"includes": [*fields, VECTOR_FIELD]}
    if await cluster.leaves_vectors_out():
        source["exclude_vectors"] = False
    return source


async def count(cluster: Cluster, revision: Revision, query: Mapping[str, Any] | None) -> int:
    """Counts the documents that searches see.

    Raises:
        IndexNotFoundError: The revision is gone.
        ServiceError: Elasticsearch does not answer, or refuses the query.
    """

    async def ask() -> int:
        with errors_of(revision.name):
            answer = await cluster.reading().count(
                index=revision.physical, query=query or {"match_all": {}}
            )
            found: int = answer["count"]
            return found

    return await patiently(ask)
