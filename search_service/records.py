"""Documents as messages and as the JSON that Elasticsearch keeps. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from imagesearch.common.v1 import types_pb2 as types

from search_service.hashes import with_bands

Source = dict[str, Any]
"""A document as Elasticsearch keeps it, without its vector."""

_PLAIN = (
    "image_id",
    "image_name",
    "relative_path",
    "width",
    "height",
    "format",
    "size_bytes",
    "phash",
    "caption",
)
_TIMES = ("captured_at", "indexed_at")
_PLACE = ("relative_path", "url", "page_url")
_SEEN = ("first_seen_at", "last_seen_at")

_MICROSECONDS = len("2026-01-01T00:00:00.000000Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

FIELDS = frozenset(types.Document.DESCRIPTOR.fields_by_name)
"""Names of the fields of a document."""


def to_record(document: types.Document, now: str) -> Source:
    """Renders a new document. Fields that are not set are left out.

    Args:
        document: Checked already.
        now: RFC 3339; the time of what is seen now, unless the document says otherwise.
    """
    record: Source = {name: value for name in _PLAIN if (value := getattr(document, name))}
    if document.HasField("captured_at"):
        record["captured_at"] = document.captured_at.ToJsonString()
    record["indexed_at"] = now
    if document.tags:
        record["tags"] = list(dict.fromkeys(document.tags))
    if document.attributes:
        record["attributes"] = dict(document.attributes)
    sources = [_source(source, now) for source in document.sources]
    if sources:
        record["sources"] = sources
    return with_bands(record)


def _source(source: types.Source, now: str) -> dict[str, str]:
    shown = {name: value for name in _PLACE if (value := getattr(source, name))}
    for name in _SEEN:
        shown[name] = _seen(source, name) or now
    return shown


def _seen(source: Message, name: str) -> str:
    time: Timestamp = getattr(source, name)
    return time.ToJsonString() if source.HasField(name) else ""


def from_record(image_id: str, record: Mapping[str, Any]) -> types.Document:
    """Reads a document, or what was asked for of it."""
    document = types.Document()
    fill(document, image_id, record)
    return document


def fill(document: types.Document, image_id: str, record: Mapping[str, Any]) -> None:
    """Reads a document, or what was asked for of it, into an empty message."""
    for name, value in record.items():
        if name in _PLAIN:
            setattr(document, name, value)
        elif name in _TIMES:
            getattr(document, name).CopyFrom(timestamp(value))
    document.image_id = image_id
    if "tags" in record:
        document.tags.extend(_listed(record["tags"]))
    if "attributes" in record:
        document.attributes.update(record["attributes"])
    for source in _listed(record.get("sources", ())):
        shown = document.sources.add(**{name: source[name] for name in _PLACE if name in source})
        for name in _SEEN:
            if name in source:
                getattr(shown, name).CopyFrom(timestamp(source[name]))


def _listed(value: Any) -> Sequence[Any]:
    """Elasticsearch takes one value for a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


def timestamp(text: str) -> Timestamp:
    """Reads RFC 3339."""
    time = Timestamp()
    if len(text) <= _MICROSECONDS:  # several times as fast
        whole = datetime.fromisoformat(text)
        seconds = (whole - _EPOCH) // _SECOND
        return Timestamp(seconds=seconds, nanos=whole.microsecond * 1000)
    time.FromJsonString(text)
    return time


def now() -> str:
    """The current time, RFC 3339, to the millisecond."""
    time = Timestamp()
    time.GetCurrentTime()
    time.nanos -= time.nanos % 1_000_000
    return time.ToJsonString()
