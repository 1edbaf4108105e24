"""Ingest from every kind of source, against a real gateway: what is stored, remembered, refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.search.v1 import search_service_pb2 as search_pb

from imagesearch_client import AsyncClient
from imagesearch_ingest.ignoring import Ignores
from imagesearch_ingest.journal import Journal
from imagesearch_ingest.listing import Choice
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.metadata import Describing
from imagesearch_ingest.opening import Kind, Opening
from imagesearch_ingest.pipeline import Settings
from imagesearch_ingest.report import Report, Table
from imagesearch_ingest.running import Pruning, Run
from tests.helpers import a_picture

if TYPE_CHECKING:
    from imagesearch.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

__all__ = ["Ignores", "io", "os", "shutil"]

COUNT = 6


@pytest.fixture(scope="module")
async def client(gateway_address: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(gateway_address) as opened:
        yield opened


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    opened = Journal(tmp_path / "state" / "journal.sqlite")
    yield opened
    opened.close()


Ingest = Callable[..., Any]


@pytest.fixture
def ingest(client: AsyncClient, journal: Journal, new_index: str) -> Ingest:
    """Runs an ingest into the test's index; gives the report."""

    async def once(
        place: Path | str,
        opening: Opening = Opening(),  # noqa: B008
        pruning: Pruning | None = None,
        **options: Any,
    ) -> Report:
        report = Report()
        settings = Settings(readers=2, **options)
        source = opening.open(str(place))
        run = Run(
            client, source, new_index, journal, settings, report, Table(None), pruning
        )
        await run.once()
        return report

    return once


def pictures(folder: Path, count: int = COUNT) -> Path:
    """A folder of pictures with sidecars."""
    (folder / "deep").mkdir(parents=True)
    for number in range(count):
        path = folder / ("deep" if number % 2 else "") / f"p{number}.png"
        path.write_bytes(a_picture(number))
        said = {"caption": f"number {number}", "tags": ["drawn", f"n{number}"], "url": ""}
        path.with_suffix(".json").write_text(json.dumps(said | {"attributes": {"n": number}}))
    return folder


async def documents(search: SearchServiceAsyncStub, index: str) -> dict[str, Any]:
    """All documents and vectors of an index, without times of our own."""
    request = search_pb.ListDocumentsRequest(index=index, include_vectors=True, page_size=1_000)
    found = (await search.ListDocuments(request)).documents
    for each in found:
        each.document.ClearField("indexed_at")
        for source in each.document.sources:
            source.ClearField("first_seen_at")
            source.ClearField("last_seen_at")
    return {each.document.image_id: each for each in found}


async def embedded(embedder: EmbedderServiceAsyncStub) -> int:
    """Images that the embedder was asked to embed since it started."""
    answer = await embedder.GetStatistics(embedder_pb.GetStatisticsRequest())
    return sum(m.computed for m in answer.models if m.modality == embedder_pb.MODALITY_IMAGE)


async def test_a_folder_goes_in_with_what_its_sidecars_say(
    ingest: Ingest, search: SearchServiceAsyncStub, new_index: str, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "in")

    report = await ingest(folder, describing=Describing(tags=["all"]))

    assert report.outcomes == {"created": COUNT}
    found = await documents(search, new_index)
    document = found[hashlib.sha256(a_picture(1)).hexdigest()].document
    assert document.relative_path == "deep/p1.png"
    assert document.caption == "number 1"
    assert list(document.tags) == ["all", "drawn", "n1"]
    assert document.attributes == {"n": "1"}


async def test_a_second_run_reads_and_sends_nothing(
    ingest: Ingest, embedder: EmbedderServiceAsyncStub, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "in")
    await ingest(folder)
    before = await embedded(embedder)
    for file in folder.rglob("*.png"):
        file.chmod(0)  # root may read it all the same; the embedder's count is the proof

    report = await ingest(folder)

    assert (report.known, report.stored) == (COUNT, COUNT)
    assert await embedded(embedder) == before
    assert types is not None
    assert tarfile is not None
    assert zipfile is not None
    assert Kind is not None
    assert Mapping is not None
    assert Choice is not None
    assert pa is not None
    assert pq is not None
