"""Documents and their vectors as rows of a parquet table, and back."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.timestamp_pb2 import Timestamp
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as search_pb
from numpy.typing import NDArray

VECTOR = "image_embedding"

_TIME = pa.timestamp("us", tz="UTC")
_TEXTS = ("image_id", "image_name", "relative_path", "format", "phash", "caption")
_NUMBERS = ("width", "height", "size_bytes")
_TIMES = ("captured_at", "indexed_at")
_SOURCE_TEXTS = ("relative_path", "url", "page_url")
_SOURCE_TIMES = ("first_seen_at", "last_seen_at")

_INDEX = b"imagesearch.index"
_NEXT = b"imagesearch.next_page_token"


def schema(index: index_pb.Index) -> pa.Schema:
    """The columns of an index's documents: those of Document, and the vector, float32.

    The index's description is kept in the metadata.
    """
    source = pa.struct(
        [(name, pa.string()) for name in _SOURCE_TEXTS] + [(name, _TIME) for name in _SOURCE_TIMES]
    )
    fields = [
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.int64()) for name in _NUMBERS),
        *((name, _TIME) for name in _TIMES),
        ("tags", pa.list_(pa.string())),
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("sources", pa.list_(source)),
        (VECTOR, pa.list_(pa.float32(), index.options.dimensions)),
    ]
    described = json.dumps(MessageToDict(index, preserving_proto_field_name=True))
    return pa.schema(fields).with_metadata({_INDEX: described.encode()})


def index_of(table: pa.Schema) -> index_pb.Index:
    """The index that a table was made from.

    Raises:
        ValueError: The table is no export.
    """
    described = (table.metadata or {}).get(_INDEX)
    if described is None:
        raise ValueError("it was not made by `imagesearch export`")
    return Parse(described, index_pb.Index(), ignore_unknown_fields=True)


def with_next(table: pa.Schema, token: str) -> pa.Schema:
    """A schema that says, too, where the next part begins; "": there is none."""
    return table.with_metadata({**table.metadata, _NEXT: token.encode()})


def next_of(table: pa.Schema) -> str:
    """Where the part after a table begins; "": it is the last."""
    token: bytes = (table.metadata or {}).get(_NEXT, b"")
    return token.decode()


def batch(listed: Sequence[search_pb.ListedDocument], table: pa.Schema) -> pa.RecordBatch:
    """Documents as rows."""
    documents = [each.document for each in listed]
    columns: list[Any] = [[getattr(d, name) or None for d in documents] for name in _TEXTS]
    columns += [[getattr(d, name) or None for d in documents] for name in _NUMBERS]
    columns += [[_time(d, name) for d in documents] for name in _TIMES]
    columns.append([list(d.tags) for d in documents])
    columns.append([list(d.attributes.items()) for d in documents])
    columns.append([[_source(each) for each in d.sources] for d in documents])
    arrays = [pa.array(c, table.field(i).type) for i, c in enumerate(columns)]
    dimensions = table.field(VECTOR).type.list_size
    flat = np.array([each.vector.values for each in listed], np.float32).reshape(-1)
    arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), dimensions))
    return pa.RecordBatch.from_arrays(arrays, schema=table)


def documents(rows: pa.RecordBatch) -> Iterator[tuple[types.Document, NDArray[np.float32]]]:
    """Rows as documents and their vectors, each (dimensions,). `indexed_at` is left out."""
    column = rows.column(VECTOR)
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
    for row, vector in zip(rows.drop_columns([VECTOR]).to_pylist(), vectors, strict=True):
        document = types.Document(
            **{name: row[name] for name in (*_TEXTS, *_NUMBERS) if row[name] is not None},
            tags=row["tags"] or (),
            attributes=dict(row["attributes"] or ()),
        )
        _set_times(document, row, ("captured_at",))
        for said in row["sources"] or ():
            source = document.sources.add(**{name: said[name] or "" for name in _SOURCE_TEXTS})
            _set_times(source, said, _SOURCE_TIMES)
        yield document, vector


def _time(message: Any, name: str) -> Any:
    if not message.HasField(name):
        return None
    time: Timestamp = getattr(message, name)
    return time.ToDatetime(tzinfo=UTC)


def _source(source: types.Source) -> dict[str, Any]:
    return {name: getattr(source, name) for name in _SOURCE_TEXTS} | {
        name: _time(source, name) for name in _SOURCE_TIMES
    }


def _set_times(message: Any, row: dict[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if row[name] is not None:
            getattr(message, name).FromDatetime(row[name])
