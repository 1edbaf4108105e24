"""The rest of an index's life over gRPC: changed, merged, measured, copied, loaded into."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from elasticsearch import AsyncElasticsearch
from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from imagesearch.search.v1 import index_service_pb2 as pb
from imagesearch.search.v1 import search_service_pb2 as search_pb

from tests.helpers import SPACE, eventually, refusal
from tests.services.test_revisions import ended, find, unpacked
from tests.services.test_search_service import DIMENSIONS, upsert, write

if TYPE_CHECKING:
    from google.longrunning.operations_pb2_grpc import OperationsStub
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub


async def described(indexes: IndexServiceAsyncStub, index: str) -> pb.Index:
    return (await indexes.GetIndex(pb.GetIndexRequest(name=index))).index


async def settings_of(url: str, index: str) -> dict[str, Any]:
    async with AsyncElasticsearch(url) as client:
        answer = await client.indices.get_settings(index=index)
    settings: dict[str, Any] = next(iter(answer.values()))["settings"]["index"]
    return settings


async def test_settings_change_in_place(
    indexes: IndexServiceAsyncStub, index: str, elasticsearch_url: str
) -> None:
    request = pb.UpdateIndexRequest(name=index, replicas=0, refresh_interval=Duration(seconds=7))
    changed = (await indexes.UpdateIndex(request)).index
    settings = await settings_of(elasticsearch_url, index)

    assert changed.options.replicas == 0
    assert changed.options.refresh_interval.seconds == 7
    assert (settings["refresh_interval"], settings["number_of_replicas"]) == ("7000ms", "0")
    assert changed == await described(indexes, index)
    nothing = await refusal(indexes.UpdateIndex(pb.UpdateIndexRequest(name=index)))
    wrong = await refusal(indexes.UpdateIndex(pb.UpdateIndexRequest(replicas=10)))
    assert nothing.fields == ["replicas"]
    assert wrong.fields == ["name", "replicas"]


async def test_what_elasticsearch_cannot_make_is_refused_with_its_reason(
    indexes: IndexServiceAsyncStub, new_index: str
) -> None:
    """One node takes a thousand shards."""
    options = pb.IndexOptions(dimensions=DIMENSIONS, shards=1024)
    request = pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
    refused = await refusal(indexes.CreateIndex(request))

    assert refused.fields == ["options"]
    assert "shards" in refused.message


async def test_an_index_that_takes_no_writes_is_still_searched(
    indexes: IndexServiceAsyncStub,
    search: SearchServiceAsyncStub,
    index: str,
    elasticsearch_url: str,
) -> None:
    """The block that Elasticsearch sets when its disk is nearly full."""
    await write(search, upsert(index, 1))
    async with AsyncElasticsearch(elasticsearch_url) as client:
        block = {"index.blocks.read_only_allow_delete": True}
        await client.indices.put_settings(index=index, settings=block)
        refused = (await write(search, upsert(index, 2)))["2"].error
        found = await find(search, index, 1)
        await client.indices.put_settings(index=index, settings=dict.fromkeys(block))
    again = (await write(search, upsert(index, 2)))["2"]

    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert "blocked" in refused.message
    assert len(found) == 1
    assert again.HasField("outcome")


async def test_merging_leaves_one_segment(
    indexes: IndexServiceAsyncStub,
    search: SearchServiceAsyncStub,
    operations: OperationsStub,
    index: str,
) -> None:
    for n in range(4):
        await write(search, *(upsert(index, 10 * n + i) for i in range(10)))
    before = (await described(indexes, index)).segments

    operation = await indexes.OptimizeIndex(pb.OptimizeIndexRequest(name=index))
    done = unpacked(await ended(operations, operation), pb.OptimizeIndexResponse)

    assert before > 1
    assert (done.index.segments, done.index.document_count) == (1, 40)
    metadata = pb.OperationMetadata()
    operation.metadata.Unpack(metadata)
    assert (metadata.kind, metadata.index) == ("optimize", index)
    listed = await operations.ListOperations(operations_pb2.ListOperationsRequest())
    assert operation.name in [each.name for each in listed.operations]


async def test_memory_and_bytes_are_told(indexes: IndexServiceAsyncStub, new_index: str) -> None:
    expected = {"HNSW": 4 * 512 + 64, "INT8_HNSW": 512 + 4 + 64, "BBQ_FLAT": 64 + 14}
    for kind, each in expected.items():
        options = pb.IndexOptions(vector_type=pb.VectorType.Value(f"VECTOR_TYPE_{kind}"))
        name = f"{new_index}-{kind.lower()}"
        request = pb.CreateIndexRequest(name=name, space=SPACE, options=options)
        made = (await indexes.CreateIndex(request)).index
        assert made.bytes_per_vector == each
        await indexes.DeleteIndex(pb.DeleteIndexRequest(name=name))


async def test_recall_is_measured(
    indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub, index: str
) -> None:
    await write(search, *(upsert(index, n) for n in range(400)))

    request = pb.MeasureRecallRequest(name=index, samples=20, num_candidates=[10, 400])
    answer = await indexes.MeasureRecall(request)
    default = await indexes.MeasureRecall(pb.MeasureRecallRequest(name=index, samples=5))
    wrong = pb.MeasureRecallRequest(name=index, k=10, samples=-1, num_candidates=[5])

    few, many = answer.recalls
    assert answer.samples == 20
    assert (few.num_candidates, many.num_candidates) == (10, 400)
    assert 0.5 < few.recall <= many.recall
    assert many.recall == pytest.approx(1.0, abs=0.01)
    assert few.least <= few.recall
    assert [each.num_candidates for each in default.recalls] == [100]
    refused = await refusal(indexes.MeasureRecall(wrong))
    assert refused.fields == ["samples", "num_candidates[0]"]


async def test_a_snapshot_brings_a_deleted_index_back(
    indexes: IndexServiceAsyncStub,
    search: SearchServiceAsyncStub,
    operations: OperationsStub,
    new_index: str,
    elasticsearch_url: str,
) -> None:
    options = pb.IndexOptions(dimensions=DIMENSIONS)
    await indexes.CreateIndex(pb.CreateIndexRequest(name=new_index, space=SPACE, options=options))
    await write(search, *(upsert(new_index, n) for n in range(25)))
    async with AsyncElasticsearch(elasticsearch_url) as client:
        where = {"type": "fs", "settings": {"location": new_index}}
        await client.snapshot.create_repository(name=new_index, repository=where)

    request = pb.SnapshotIndexRequest(name=new_index, repository=new_index)
    operation = await indexes.SnapshotIndex(request)
    made = unpacked(await ended(operations, operation), pb.SnapshotIndexResponse)
    restore = pb.RestoreIndexRequest(repository=new_index, snapshot=made.snapshot)
    there = await ended(operations, await indexes.RestoreIndex(restore))
    await indexes.DeleteIndex(pb.DeleteIndexRequest(name=new_index))
    operation = await ended(operations, await indexes.RestoreIndex(restore))
    restored = unpacked(operation, pb.RestoreIndexResponse)
    none = pb.SnapshotIndexRequest(name=new_index, repository="no-such-repository")
    nowhere = await ended(operations, await indexes.SnapshotIndex(none))

    assert "has an index" in there.error.message
    assert (restored.index.name, restored.index.document_count) == (new_index, 25)
    assert len(await find(search, new_index, 3)) == 3
    assert "no-such-repository" in nowhere.error.message
    await indexes.DeleteIndex(pb.DeleteIndexRequest(name=new_index))
    async with AsyncElasticsearch(elasticsearch_url) as client:
        await client.snapshot.delete(repository=new_index, snapshot=made.snapshot)
        await client.snapshot.delete_repository(name=new_index)


async def test_a_bulk_load_switches_and_switches_back(
    indexes: IndexServiceAsyncStub,
    search: SearchServiceAsyncStub,
    index: str,
    elasticsearch_url: str,
) -> None:
    during: list[Any] = []

    async def requests() -> AsyncIterator[search_pb.UpsertDocumentsRequest]:
        for n in range(100):
            request = upsert(index, n)
            request.bulk_load = True
            yield request
            if n == 50:
                await eventually(loading)
                during.append(await settings_of(elasticsearch_url, index))

    async def loading() -> None:
        assert (await settings_of(elasticsearch_url, index)).get("refresh_interval") == "-1"

    async def restored() -> None:
        settings = await settings_of(elasticsearch_url, index)
        assert "refresh_interval" not in settings
        assert settings["auto_expand_replicas"] == "0-1"
        now = await described(indexes, index)
        assert (now.document_count, now.segments) == (100, 1)

    answers = [answer async for answer in search.UpsertDocuments(requests())]

    assert all(answer.HasField("outcome") for answer in answers)
    assert during[0]["auto_expand_replicas"] == "false"
    await eventually(restored)
