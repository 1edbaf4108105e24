"""Parquet files: images in a column, or what is said of images in a tar archive beside them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagesearch_ingest.formats import too_large
from imagesearch_ingest.items import Facts, Item, Listed, RefusedError, Unusable, text_of
from imagesearch_ingest.mapping import IMAGE, Mapping
from imagesearch_ingest.paths import why_not
from imagesearch_ingest.shards import Shard
from imagesearch_ingest.tars import Tars

_KEY = "key"
_ROWS = 256
_IMAGES = 16
_MOST_ROWS_BESIDE = 1_000_000


class Tables:
    """Reads parquet files, in the layouts of img2dataset and of Hugging Face's datasets.

    Args:
        mapping: Which columns are which fields; "image" names that of the bytes.
    """

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping

    def members(self, shard: Shard) -> Iterator[Listed]:
        """Lists the rows that have an image.

        A row is known by its `key`, or else by its path, or else by its number.
        """
        with shard.open() as file:
            table = pq.ParquetFile(file)
            image = self._image_column(table.schema_arrow)
            if image is None:
                yield from self._beside(shard, table)
                return
            number = 0
            for group in range(table.num_row_groups):
                images = _Images(table, group, image)
                for row, record in enumerate(self._records(table, group)):
                    yield self._row(shard, number, row, record, images)
                    number += 1

    def count(self, shard: Shard) -> int | None:
        """Counts rows."""
        with shard.open() as file:
            count: int = pq.ParquetFile(file).metadata.num_rows
        return count

    def _image_column(self, schema: pa.Schema) -> str | None:
        """The column with the bytes: bytes, or a struct of bytes and path."""
        if (chosen := self._mapping.columns.get("image")) is not None:
            if chosen not in schema.names:
                raise ValueError(f"there is no column {chosen}")
            return chosen
        for name in IMAGE:
            if name in schema.names:
                kind = schema.field(name).type
                if pa.types.is_struct(kind) or _is_bytes(kind):
                    return name
        return None

    def _records(self, table: pq.ParquetFile, group: int) -> Iterator[dict[str, Any]]:
        columns = self._mapping.wanted(table.schema_arrow.names)
        if _KEY in table.schema_arrow.names and _KEY not in columns:
            columns.append(_KEY)
        if not columns:
            yield from ({} for _ in range(table.metadata.row_group(group).num_rows))
            return
        for batch in table.iter_batches(batch_size=_ROWS, row_groups=[group], columns=columns):
            yield from batch.to_pylist()

    def _row(
        self, shard: Shard, number: int, row: int, record: dict[str, Any], images: "_Images"
    ) -> Listed:
        facts = self._mapping.facts(record)
        name = facts.relative_path or str(record.get(_KEY) or "")
        key = text_of(name or f"row {number}")
        if why := why_not(name) if name else "":
            return Unusable(key, shard.stamp, why)
        read = partial(images.read, row)
        if not facts.relative_path and name:
            facts = Facts(relative_path=name).over(facts)
        return Item(key, shard.stamp, images.mean_size, read, lambda: facts, in_order=True)

    def _beside(self, shard: Shard, table: pq.ParquetFile) -> Iterator[Listed]:
        """Lists the members of the tar archive of the same name, with what the rows say of them."""
        stem = shard.path.removesuffix(".parquet")
        if _KEY not in table.schema_arrow.names or not shard.files.exists(f"{stem}.tar"):
            names = ", ".join(IMAGE)
            raise ValueError(
                f"there is none of the columns {names} with bytes (--map image=COLUMN names "
                f"another), and no column key with a {stem.rpartition('/')[2]}.tar beside it"
            )
        if table.metadata.num_rows > _MOST_ROWS_BESIDE:
            raise ValueError(f"more than {_MOST_ROWS_BESIDE} rows beside one archive")
        rows = {
            str(record.pop(_KEY)): self._mapping.facts(record)
            for group in range(table.num_row_groups)
            for record in self._records(table, group)
        }
        info = shard.files.info(f"{stem}.tar")
        tar = Shard(
            shard.name.removesuffix(".parquet") + ".tar",
            shard.files,
            f"{stem}.tar",
            int(info["size"]),
            f"{info['size']}:{shard.stamp}",
        )
        for listed in Tars(self._mapping).members(tar):
            if isinstance(listed, Item):
                said = rows.get(listed.key.rpartition("/")[2].partition(".")[0], Facts())
                yield Item(
                    listed.key,
                    listed.stamp,
                    listed.size,
                    listed.read,
                    partial(_joined, said, listed),
                    in_order=listed.in_order,
                )
            else:
                yield listed


def _joined(said: Facts, item: Item) -> Facts:
    return said.over(item.facts())


class _Images:
    """The images of one row group, read a few at a time, and only from where one is wanted."""

    def __init__(self, table: pq.ParquetFile, group: int, column: str) -> None:
        self._table = table
        self._group = group
        self._column = column
        self._batches: Iterator[Any] | None = None
        self._values: Any = ()
        self._start = 0
        whole = table.metadata.row_group(group)
        self.mean_size = whole.total_byte_size // max(1, whole.num_rows)

    def read(self, row: int) -> bytes:
        """Reads the image of a row; rows must be asked for in order."""
        if self._batches is None:
            self._batches = self._table.iter_batches(
                batch_size=_IMAGES, row_groups=[self._group], columns=[self._column]
            )
        while row >= self._start + len(self._values):
            self._start += len(self._values)
            self._values = next(self._batches).column(0)
        value = self._values[row - self._start].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise RefusedError("there are no bytes in its row")
        if why := too_large(len(content)):
            raise RefusedError(why)
        return content


def _is_bytes(kind: Any) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )
