"""An index as parquet files, and back."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from imagesearch.search.v1 import index_service_pb2 as index_pb

from image_kit.naming import DEFAULT_INDEX
from imagesearch_ingest import document_tables
from imagesearch_ingest.items import SourceError
from imagesearch_ingest.journal import Identity, Journal
from imagesearch_ingest.search_client import Row, SearchClient, Upserted

PART_ROWS = 50_000
PAGE = 500
_BATCH = 500
_PART = "part-{:06d}.parquet"


async def export(
    client: SearchClient,
    index: str,
    folder: Path,
    progress: Callable[[int, int], None],
    part_rows: int = PART_ROWS,
) -> int:
    """Writes all documents and vectors of an index; gives how many.

    A folder that an export was broken off in is gone on with: parts are whole or not there.

    Args:
        client: search_service.
        index: The index's name; "" for the default.
        folder: Where to; `part-000000.parquet` and so on.
        progress: Told of documents written, and in all, after each part.
        part_rows: Rows of a part.

    Raises:
        ImageSearchError: search_service is away.
        SourceError: There is no such index, or the folder holds another one's export.
    """
    described = await client.index(index)
    if described is None:
        raise SourceError(f"there is no index {index or DEFAULT_INDEX}")
    await client.refresh(described.name)  # so that all that was acknowledged is listed
    schema = document_tables.schema(described)
    written, number, token, complete = _resumed(folder, described)
    while not complete:
        unfinished = folder / f".{_PART.format(number)}.unfinished"
        rows: list[Any] = []
        count = 0
        while count < part_rows:
            page = await client.page(index, min(PAGE, part_rows - count), token)
            if page.documents:
                rows.append(document_tables.batch(page.documents, schema))
                count += len(page.documents)
            token = page.next_page_token
            if not token:
                break
        with pq.ParquetWriter(
            unfinished, document_tables.with_next(schema, token), compression="zstd"
        ) as part:
            for batch in rows:
                part.write_batch(batch.replace_schema_metadata(part.schema.metadata))
        os.replace(unfinished, folder / _PART.format(number))
        written += count
        number += 1
        complete = not token
        progress(written, described.document_count)
    return written


def _resumed(folder: Path, index: index_pb.Index) -> tuple[int, int, str, bool]:
    """Rows, parts, and the next page's token of what is there already; and whether it is all."""
    written = number = 0
    token = ""
    folder.mkdir(parents=True, exist_ok=True)
    while (file := folder / _PART.format(number)).exists():
        part = pq.ParquetFile(file)
        before = document_tables.index_of(part.schema_arrow)
        same = (before.name, before.space, before.physical_index, before.created_at)
        if same != (index.name, index.space, index.physical_index, index.created_at):
            raise SourceError(f"{folder} holds the export of another index, or of an older one")
        written += part.metadata.num_rows
        token = document_tables.next_of(part.schema_arrow)
        number += 1
        if not token:
            return written, number, token, True
    return written, number, token, False


async def import_(
    client: SearchClient,
    files: Sequence[Path],
    index: str,
    journal: Journal,
    progress: Callable[[Upserted], None],
) -> index_pb.Index:
    """Stores what `export` wrote. Doing it again changes nothing, and skips files that are done.

    Args:
        client: search_service.
        files: Parts, of one export.
        index: Name of the index to fill; "" for that of the export. It is made if there is none.
        journal: Remembers which files are stored.
        progress: Told of each batch.

    Raises:
        ImageSearchError: search_service is away.
        SourceError: The files are no export, or of another space than the index.
    """
    described = _described(files)
    name = index or described.name
    target = await client.index(name)
    if target is None:
        target = await client.create_index(name, described)
    wrong = []
    if target.space != described.space:
        wrong.append(f"its space is {target.space}, that of the files {described.space}")
    if target.options.dimensions != described.options.dimensions:
        wrong.append(
            f"its vectors have {target.options.dimensions} dimensions, "
            f"those of the files {described.options.dimensions}"
        )
    if wrong:
        raise SourceError(f"the index {name} is there, and {'; '.join(wrong)}")
    created_ns = target.created_at.ToNanoseconds()
    identity = Identity(target.name, target.space, target.revision, created_ns)
    source = journal.source(journal.target(identity), files[0].parent.resolve().as_uri())
    for file in files:
        found = file.stat()
        stamp = f"{found.st_mtime_ns}:{found.st_size}"
        if journal.shard_done(source, file.name, stamp, with_refused=False):
            continue
        whole = True
        async for upserted in client.upsert(name, described.space, _batches(file)):
            whole = whole and not upserted.refused
            progress(upserted)
        if whole:
            journal.end_shard(source, file.name, stamp)
    await client.refresh(name)  # searches see what was acknowledged
    return target


def _described(files: Sequence[Path]) -> index_pb.Index:
    """The index that all the files are of."""
    found: index_pb.Index | None = None
    for file in files:
        try:
            here = document_tables.index_of(pq.read_schema(file))
        except (OSError, ValueError) as error:
            raise SourceError(f"{file}: {error}") from error
        if found is not None and (here.space, here.name) != (found.space, found.name):
            raise SourceError(f"{file} is of another export than {files[0]}")
        found = here
    if found is None:
        raise SourceError("there are no parquet files")
    return found


def _batches(file: Path) -> Iterator[list[Row]]:
    with pq.ParquetFile(file) as part:
        for batch in part.iter_batches(batch_size=_BATCH):
            yield list(document_tables.documents(batch))
