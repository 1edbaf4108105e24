"""Searches for the nearest vectors: alone, in pages, and several at once."""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from imagesearch.search.v1 import search_service_pb2 as pb

from search_service.cluster import Cluster, patiently
from search_service.errors import ScriptsMissingError
from search_service.failures import error_of, errors_of
from search_service.mappings import Revision
from search_service.queries import KnnSearch, search_body
from service_kit.errors import InvalidRequestError

PAGES_OPEN = "5m"
"""How long a page token is good for."""

Answer = Mapping[str, Any]
"""Elasticsearch's body of a search."""


async def search(cluster: Cluster, revision: Revision, query: KnnSearch) -> Answer:
    """Searches; a shard that cannot answer is an error.

    Raises:
        IndexNotFoundError: The revision is gone.
        ScriptsMissingError: An exact search needs a script.
        ServiceError: Elasticsearch does not answer, or refuses the query.
    """
    await _check_scripts(cluster, [query])
    packed = await cluster.packs_queries()
    body = search_body(query, revision.options.similarity, packed)
    return await _search(cluster, revision, body, index=revision.physical)


async def _search(
    cluster: Cluster, revision: Revision, body: dict[str, Any], index: str | None = None
) -> Answer:
    async def ask() -> Answer:
        with errors_of(revision.name):
            answer = await cluster.reading().search(
                index=index, body=body, allow_partial_search_results=False
            )
            found: Answer = answer.body
            return found

    return await patiently(ask)


async def search_all(
    cluster: Cluster, searches: Sequence[tuple[Revision, KnnSearch]]
) -> list[Answer | Exception]:
    """Makes several searches in one request. Answers what each found, or why it failed.

    Raises:
        ServiceError: Elasticsearch does not answer at all.
    """
    await _check_scripts(cluster, [query for _, query in searches])
    packed = await cluster.packs_queries()
    lines: list[Any] = []
    for revision, query in searches:
        header = {"index": revision.physical, "allow_partial_search_results": False}
        lines.append(orjson.dumps(header))
        lines.append(orjson.dumps(search_body(query, revision.options.similarity, packed)))

    async def ask() -> list[Any]:
        with errors_of("*"):
            answer = await cluster.reading().msearch(searches=lines)
            responses: list[Any] = answer["responses"]
            return responses

    return [
        response if "error" not in response else error_of(response, revision.name)
        for (revision, _), response in zip(searches, await patiently(ask), strict=True)
    ]


async def _check_scripts(cluster: Cluster, queries: Sequence[KnnSearch]) -> None:
    if any(query.exact for query in queries) and not await cluster.has_scripts():
        raise ScriptsMissingError


@dataclass(frozen=True)
class Place:
    """Where a page of a search begins.

    Attributes:
        pit: Elasticsearch's point in time, which all pages see.
        after: Sort values of the last hit before it.
        seen: Hits before it.
    """

    pit: str
    after: list[Any]
    seen: int


def read_token(request: pb.SearchRequest) -> Place | None:
    """Reads a page token; None for the first page.

    Raises:
        InvalidRequestError: It is not a token that the same request got.
    """
    if not request.page_token:
        return None
    try:
        digest, pit, after, seen = orjson.loads(base64.urlsafe_b64decode(request.page_token))
        if digest == _digest(request):
            return Place(str(pit), list(after), int(seen))
    except (binascii.Error, ValueError, TypeError):
        pass
    raise InvalidRequestError([("page_token", "is not a token that this request got")])


def _token(request: pb.SearchRequest, place: Place) -> str:
    parts = [_digest(request), place.pit, place.after, place.seen]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def _digest(request: pb.SearchRequest) -> str:
    same = pb.SearchRequest()
    same.CopyFrom(request)
    same.ClearField("page_token")
    return hashlib.sha256(same.SerializeToString(deterministic=True)).hexdigest()[:16]


async def search_page(
    cluster: Cluster, revision: Revision, query: KnnSearch, request: pb.SearchRequest
) -> tuple[Answer, str]:
    """Searches for one page. Answers it, and the token of the next; "" after the last.

    All pages see the index as it was at the first: they share a point in time.

    Raises:
        InvalidRequestError: The token is not one of this request, or too old.
        ServiceError: As `search`.
    """
    await _check_scripts(cluster, [query])
    packed = await cluster.packs_queries()
    place = read_token(request)
    if place is None:
        with errors_of(revision.name):
            opened = await cluster.reading().open_point_in_time(
                index=revision.physical, keep_alive=PAGES_OPEN
            )
        place = Place(opened["id"], [], 0)
    body = search_body(query, revision.options.similarity, packed)
    body["size"] = size = min(query.page_size, query.k - place.seen)
    body["pit"] = {"id": place.pit, "keep_alive": PAGES_OPEN}
    body["sort"] = [{"_score": "desc"}, {"_shard_doc": "asc"}]
    if place.after:
        body["search_after"] = place.after
    answer = await _search(cluster, revision, body)
    found = answer["hits"]["hits"]
    if any(hit["_index"].rpartition("-")[0] != revision.name for hit in found):
        raise InvalidRequestError([("page_token", "is of another index")])
    seen = place.seen + len(found)
    if len(found) < size or seen >= query.k:
        await _close(cluster, answer["pit_id"])
        return answer, ""
    return answer, _token(request, Place(answer["pit_id"], found[-1]["sort"], seen))


async def _close(cluster: Cluster, pit: str) -> None:
    with errors_of("*"):
        await cluster.reading().close_point_in_time(id=pit)
