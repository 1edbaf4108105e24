"""Documents of requests: what can be wrong with them, and what to do at once with a write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as pb

from image_kit.naming import check_image_id
from search_service.filters import to_query
from search_service.search_wire import check_fields, matching
from service_kit.errors import Violations

MAX_IDS = 1_000
MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_STRING_BYTES = 8_192
MAX_TAGS = 100
MAX_ATTRIBUTES = 100
MAX_PAGE = 1_000
DEFAULT_PAGE = 100

REFRESH = {
    types.REFRESH_POLICY_WAIT_FOR: "wait_for",
    types.REFRESH_POLICY_IMMEDIATE: "true",
}
"""Elasticsearch's `refresh` parameter; "false" for the others."""


@dataclass(frozen=True)
class Listing:
    """Which documents to list.

    Attributes:
        after: The id that the page comes after; "" for the first page.
        size: Most documents.
        query: Elasticsearch query that they match; None: all.
    """

    after: str
    size: int
    query: dict[str, Any] | None


def listing(request: pb.ListDocumentsRequest) -> Listing:
    """Reads a ListDocumentsRequest. A page token is the last id of the page before.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    if request.page_size < 0:
        wrong.add("page_size", f"is {request.page_size}; it must not be negative")
    if request.page_token:
        check_image_id(request.page_token, "page_token", wrong)
    check_fields(request.fields, wrong)
    query = matching(request, wrong)
    wrong.raise_if_any()
    return Listing(request.page_token, min(request.page_size or DEFAULT_PAGE, MAX_PAGE), query)


def to_delete(request: pb.DeleteMatchingDocumentsRequest) -> dict[str, Any]:
    """Reads which documents to delete.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    if not request.index:
        wrong.add("index", "is not set; nothing is deleted by default")
    query: dict[str, Any] = {}
    if request.HasField("filter"):
        query = to_query(request.filter, "filter", wrong)
    else:
        wrong.add("filter", "is not set; DeleteIndex deletes all")
    wrong.raise_if_any()
    return query


def image_ids(ids: Sequence[str]) -> list[str]:
    """Reads a list of ids.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    if not 1 <= len(ids) <= MAX_IDS:
        wrong.add("image_ids", f"has {len(ids)} items; 1 to {MAX_IDS} are allowed")
    else:
        for i, image_id in enumerate(ids):
            check_image_id(image_id, f"image_ids[{i}]", wrong)
    wrong.raise_if_any()
    return list(ids)


def check_document(document: types.Document) -> None:
    """Checks a document that is to be stored.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    check_image_id(document.image_id, "document.image_id", wrong)
    if (size := document.ByteSize()) > MAX_DOCUMENT_BYTES:
        wrong.add("document", f"has {size} bytes; at most {MAX_DOCUMENT_BYTES} are allowed")
    for name in ("image_name", "relative_path", "format", "phash"):
        _check_string(getattr(document, name), f"document.{name}", wrong)
    if len(document.tags) > MAX_TAGS:
        wrong.add("document.tags", f"has {len(document.tags)} items; {MAX_TAGS} are allowed")
    for i, tag in enumerate(document.tags[:MAX_TAGS]):
        _check_string(tag, f"document.tags[{i}]", wrong)
    if len(document.attributes) > MAX_ATTRIBUTES:
        count = len(document.attributes)
        wrong.add("document.attributes", f"has {count} keys; {MAX_ATTRIBUTES} are allowed")
    for key, value in document.attributes.items():
        if not key or not key.isprintable() or len(key.encode()) > 256:
            wrong.add("document.attributes", f"{key[:64]!r} is not a key: 1 to 256 printable bytes")
        _check_string(value, f"document.attributes[{key[:64]!r}]", wrong)
    _check_times(document, ("captured_at", "indexed_at"), "document", wrong)
    for i, source in enumerate(document.sources):
        field = f"document.sources[{i}]"
        for name in ("relative_path", "url", "page_url"):
            _check_string(getattr(source, name), f"{field}.{name}", wrong)
        _check_times(source, ("first_seen_at", "last_seen_at"), field, wrong)
    wrong.raise_if_any()


def _check_string(value: str, field: str, wrong: Violations) -> None:
    if (length := len(value.encode())) > MAX_STRING_BYTES:
        wrong.add(field, f"has {length} bytes; at most {MAX_STRING_BYTES} are allowed")


def _check_times(message: Message, names: Sequence[str], field: str, wrong: Violations) -> None:
    for name in names:
        if message.HasField(name):
            try:
                getattr(message, name).ToJsonString()
            except ValueError:
                wrong.add(f"{field}.{name}", "is not a valid time")
