"""Bulk requests to Elasticsearch, and what their items say."""

from collections.abc import Mapping, Sequence
from typing import Any

from search_service.cluster import Cluster, errors_of, translate
from service_kit.errors import InvalidRequestError


class ItemError(Exception):
    """Elasticsearch refused a document for a reason that is a bug of ours."""


async def bulk(
    cluster: Cluster, index: str, operations: Sequence[Mapping[str, Any]], refresh: str
) -> list[Mapping[str, Any]]:
    """Sends one bulk request, never to an index that does not exist. Answers its items."""
    with errors_of(index):
        answer = await cluster.writing().bulk(
            index=index, operations=operations, refresh=refresh, require_alias=True
        )
    items: list[Mapping[str, Any]] = answer["items"]
    return items


def item_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer to one operation, whichever the operation was."""
    item: Mapping[str, Any] = next(iter(answer.values()))
    return item


def item_error(item: Mapping[str, Any], index: str, image_id: str) -> Exception:
    """Makes an error of an item that Elasticsearch refused."""
    error = item.get("error", {})
    kind, reason = str(error.get("type", "")), str(error.get("reason", ""))
    translated = translate(item["status"], kind, reason, index)
    if translated is not None:
        return translated
    if item["status"] == 400:
        what = f"Elasticsearch refuses image {image_id}: {reason}"
        return InvalidRequestError([("document", what)])
    return ItemError(f"{item['status']} {kind}: {reason}")
