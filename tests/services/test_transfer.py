"""An index as parquet files, and back: the same documents and vectors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as pb

from imagesearch_ingest import transfer
from imagesearch_ingest.items import SourceError
from imagesearch_ingest.journal import Journal
from imagesearch_ingest.search_client import SearchClient, Upserted, search_client
from tests.helpers import SPACE, each, image_id, unit_vector

if TYPE_CHECKING:
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

COUNT = 25


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    opened = Journal(tmp_path / "journal.sqlite")
    yield opened
    opened.close()


@pytest.fixture
async def client(search_address: str) -> AsyncIterator[SearchClient]:
    async with search_client(search_address) as opened:
        yield opened


@pytest.fixture
async def filled(index: str, search: SearchServiceAsyncStub) -> str:
    requests = []
    for n in range(COUNT):
        document = types.Document(
            image_id=image_id(n),
            image_name=f"{n}.png",
            relative_path=f"in/{n}.png",
            width=n + 1,
            height=2,
            size_bytes=3 * 10**9,
            format="PNG",
            phash="0" * 16,
            tags=["a", f"t{n}"],
            caption="十字" if n % 2 else "",
            attributes={"k": "v"} if n % 3 else {},
        )
        document.captured_at.FromSeconds(1_000_000 + n)
        document.sources.add(relative_path=f"in/{n}.png").first_seen_at.FromSeconds(n + 1)
        document.sources.add(url="http://x.example/", page_url="http://x.example/page")
        vector = types.Vector(values=unit_vector(n), space=SPACE)
        requests.append(pb.UpsertDocumentsRequest(index=index, document=document, vector=vector))
    answers = [answer async for answer in search.UpsertDocuments(each(requests))]
    assert not any(answer.HasField("error") for answer in answers)
    return index


async def listed(search: SearchServiceAsyncStub, index: str) -> dict[str, Any]:
    request = pb.ListDocumentsRequest(index=index, include_vectors=True, page_size=1_000)
    found = (await search.ListDocuments(request)).documents
    for one in found:
        one.document.ClearField("indexed_at")
    return {one.document.image_id: one for one in found}


async def test_an_index_comes_back_as_it_was(
    client: SearchClient,
    search: SearchServiceAsyncStub,
    filled: str,
    new_index: str,
    journal: Journal,
    tmp_path: Path,
) -> None:
    """Through several parts; done again, nothing changes."""
    folder, outcomes = tmp_path / "out", []
    count = await transfer.export(client, filled, folder, lambda *_: None, part_rows=10)

    files = sorted(folder.glob("*.parquet"))
    await transfer.import_(client, files, f"{new_index}-copy", journal, outcomes.append)
    once = len(outcomes)
    await transfer.import_(client, files, f"{new_index}-copy", journal, outcomes.append)

    assert (count, len(files)) == (COUNT, 3)
    assert len(outcomes) == once  # whole files are not even sent again
    assert [(o.outcomes, o.refused) for o in outcomes] == [
        ({types.UPSERT_OUTCOME_CREATED: n}, []) for n in (10, 10, 5)
    ]
    ours, theirs = await listed(search, f"{new_index}-copy"), await listed(search, filled)
    assert ours.keys() == theirs.keys()
    for key, one in ours.items():
        assert one.document == theirs[key].document
        assert one.vector.values == pytest.approx(theirs[key].vector.values)


async def test_a_broken_off_export_goes_on(
    client: SearchClient, filled: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"

    def break_off(written: int, _: int) -> None:
        if written >= 10:
            raise KeyError

    with pytest.raises(KeyError):
        await transfer.export(client, filled, folder, break_off, part_rows=10)
    parts = len(list(folder.glob("*.parquet")))
    told: list[int] = []
    count = await transfer.export(
        client, filled, folder, lambda written, _: told.append(written), part_rows=10
    )

    ids = [row for file in sorted(folder.glob("*.parquet")) for row in _ids(file)]
    assert (parts, count, told) == (1, COUNT, [20, COUNT])
    assert ids == sorted(image_id(n) for n in range(COUNT))


def _ids(file: Path) -> list[str]:
    ids: list[str] = pq.read_table(file, columns=["image_id"]).column(0).to_pylist()
    return ids


async def test_another_space_is_refused(
    client: SearchClient,
    indexes: Any,
    filled: str,
    new_index: str,
    journal: Journal,
    tmp_path: Path,
) -> None:
    folder, outcomes = tmp_path / "out", list[Upserted]()
    await transfer.export(client, filled, folder, lambda *_: None)
    options = index_pb.IndexOptions(dimensions=16)
    await indexes.CreateIndex(
        index_pb.CreateIndexRequest(
            name=f"{new_index}-other", space="another@sha256:00", options=options
        )
    )

    with pytest.raises(SourceError, match="space"):
        await transfer.import_(
            client, sorted(folder.glob("*.parquet")), f"{new_index}-other", journal, outcomes.append
        )

    assert outcomes == []
