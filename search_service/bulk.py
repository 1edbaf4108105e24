"""Bulk requests to Elasticsearch, and what their items say."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from search_service.cluster import Cluster
from search_service.errors import RequestTooLargeError
from search_service.failures import errors_of, translate
from search_service.mappings import VECTOR_FIELD
from search_service.queries import packed_vector
from service_kit.errors import InvalidRequestError

T = TypeVar("T")

_WANTED = "items.*._index,items.*._id,items.*._seq_no,items.*.status,items.*.error"


class ItemError(Exception):
    """Elasticsearch refused a document for a reason that is a bug of ours."""


def line_of(record: Mapping[str, Any], vector: NDArray[np.float32], packed: bool) -> bytes:
    """Renders a document for a bulk request.

    Args:
        record: Its fields.
        vector: (dimensions,).
        packed: As base64 of big-endian float32, which Elasticsearch reads faster; else as a list.
    """
    value: Any = vector
    if packed:
        value = packed_vector(vector)
    return orjson.dumps({**record, VECTOR_FIELD: value}, option=orjson.OPT_SERIALIZE_NUMPY)


Operation = tuple[Mapping[str, Any], bytes | None]
"""An action and, unless it deletes, the line of the document."""


async def bulk(
    cluster: Cluster, alias: str, operations: Sequence[Operation], refresh: str
) -> list[Mapping[str, Any]]:
    """Sends operations in one request, or several where one is too large. Answers its items.

    Args:
        cluster: Where to.
        alias: Name of an index, or the alias of a revision. One that is not there is not made.
        operations: What to do.
        refresh: Elasticsearch's `refresh` parameter.

    Raises:
        RequestTooLargeError: One operation alone is too large.
        ServiceError: Elasticsearch refuses the request as a whole, or does not answer.
    """
    lines: list[Any] = []
    for action, line in operations:
        lines += [orjson.dumps(action)] if line is None else [orjson.dumps(action), line]
    try:
        with errors_of(alias):
            answer = await cluster.writing().bulk(
                index=alias,
                operations=lines,
                refresh=refresh,
                require_alias=True,
                wait_for_active_shards=cluster.active_shards,
                filter_path=_WANTED,
            )
    except RequestTooLargeError:
        if len(operations) == 1:
            raise
        half = len(operations) // 2
        first = await bulk(cluster, alias, operations[:half], refresh)
        return first + await bulk(cluster, alias, operations[half:], refresh)
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
    translated = translate(item["status"], item, index)
    if translated is not None:
        return translated
    if item["status"] == 400:
        what = f"Elasticsearch refuses image {image_id}: {reason}"
        return InvalidRequestError([("document", what)])
    return ItemError(f"{item['status']} {kind}: {reason}")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Splits into lists of a size; the last may be shorter."""
    source = iter(items)
    while batch := list(itertools.islice(source, size)):
        yield batch
