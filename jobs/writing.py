"""Where a shard's documents go: straight to search_service, or into a parquet file."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import fsspec
import pyarrow.parquet as pq
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as pb

from imagesearch_client.errors import ImageSearchError
from imagesearch_ingest import document_tables
from imagesearch_ingest.search_client import Row, SearchClient, search_client
from service_kit.tls.client import ClientTls
from service_kit.vectors import to_vector


@dataclass(frozen=True)
class Stored:
    """What became of a shard's documents.

    Attributes:
        documents: How many are stored.
        refused: (image_id, reason) of those that are not.
    """

    documents: int
    refused: tuple[tuple[str, str], ...] = ()


class Writer(Protocol):
    """Takes a shard's documents."""

    async def write(
        self, shard: str, index: index_pb.Index, batches: Iterator[Sequence[Row]]
    ) -> Stored:
        """Stores documents; returns when they are safe.

        Args:
            shard: The shard's URL.
            index: Space and dimensions of the vectors.
            batches: Made while they are asked for, in a thread.
        """
        ...


@dataclass(frozen=True)
class ToSearch:
    """Writes to search_service, as part of a bulk load.

    Attributes:
        address: Of search_service.
        index: Name of the index; it is made if there is none.
        api_key: Sent along; "": none is.
        tls: How to encrypt, with files on the workers. None: not at all. How documents get there
            says nothing of what they are, so it is left out of what names the job.
    """

    address: str
    index: str
    api_key: str = field(default="", repr=False)
    tls: ClientTls | None = field(default=None, repr=False)

    async def write(
        self, shard: str, index: index_pb.Index, batches: Iterator[Sequence[Row]]
    ) -> Stored:
        """See Writer.

        Raises:
            ImageSearchError: search_service is away.
            ValueError: The index is of another space.
        """
        documents = 0
        refused: list[tuple[str, str]] = []
        async with search_client(self.address, self.api_key, self.tls) as client:
            there = await self._index(client, index)
            if there.space != index.space:
                raise ValueError(
                    f"the index {self.index} is of the space {there.space}, not of {index.space}"
                )
            async for upserted in client.upsert(self.index, index.space, batches):
                documents += sum(upserted.outcomes.values())
                refused += upserted.refused
            await client.refresh(self.index)
        return Stored(documents, tuple(refused))

    async def _index(self, client: SearchClient, like: index_pb.Index) -> index_pb.Index:
        for _ in range(2):
            if (there := await client.index(self.index)) is not None:
                return there
            try:
                return await client.create_index(self.index, like)
            except ImageSearchError as error:
                if error.code.name != "ALREADY_EXISTS":  # another worker was faster
                    raise
        raise ValueError(f"the index {self.index} comes and goes")


@dataclass(frozen=True)
class ToParquet:
    """Writes parquet files that `imagesearch import` takes.

    Attributes:
        url: Folder, as fsspec names it.
        index: Name of the index that they are meant for.
    """

    url: str
    index: str

    async def write(
        self, shard: str, index: index_pb.Index, batches: Iterator[Sequence[Row]]
    ) -> Stored:
        """See Writer."""
        return await asyncio.to_thread(self._write, shard, index, batches)

    def _write(self, shard: str, index: index_pb.Index, batches: Iterator[Sequence[Row]]) -> Stored:
        described = index_pb.Index()
        described.CopyFrom(index)
        described.name = self.index
        schema = document_tables.schema(described)
        files: Any
        files, root = fsspec.core.url_to_fs(self.url)
        files.makedirs(root, exist_ok=True)
        name = f"part-{hashlib.sha256(shard.encode()).hexdigest()[:16]}.parquet"
        count = 0
        with (
            files.open(f"{root}/.{name}.unfinished", "wb") as file,
            pq.ParquetWriter(file, schema, compression="zstd") as table,
        ):
            for batch in batches:
                listed = [
                    pb.ListedDocument(document=document, vector=to_vector(vector, index.space))
                    for document, vector in batch
                ]
                table.write_batch(document_tables.batch(listed, schema))
                count += len(batch)
        files.mv(f"{root}/.{name}.unfinished", f"{root}/{name}")
        return Stored(count)
