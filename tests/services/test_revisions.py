"""Revisions of an index over gRPC: made, kept in step, compared, promoted, rolled back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
from elasticsearch import AsyncElasticsearch
from google.longrunning import operations_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import revision_service_pb2 as pb
from imagesearch.search.v1 import search_service_pb2 as search_pb

import search_service.server
import search_service.settings
from service_kit.client import channel
from tests.helpers import eventually, ids_of, image_id, refusal, unit_vector
from tests.services.test_search_service import DIMENSIONS, upsert, vector, write

if TYPE_CHECKING:
    from google.longrunning.operations_pb2_grpc import OperationsStub
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub
    from imagesearch.search.v1.revision_service_pb2_grpc import RevisionServiceAsyncStub
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

PROMOTIONS = 50 if os.environ.get("SOAK") else 16
FLAT = index_pb.IndexOptions(dimensions=DIMENSIONS, vector_type=index_pb.VECTOR_TYPE_FLAT)


async def listed(revisions: RevisionServiceAsyncStub, index: str) -> list[pb.Revision]:
    return list((await revisions.ListRevisions(pb.ListRevisionsRequest(name=index))).revisions)


async def find(search: SearchServiceAsyncStub, index: str, seed: int, k: int = 3) -> list[str]:
    answer = await search.Search(search_pb.SearchRequest(index=index, vector=vector(seed), k=k))
    return ids_of(answer.hits)


async def ended(operations: OperationsStub, started: operations_pb2.Operation) -> Any:
    """Waits for an operation; gives it."""
    request = operations_pb2.WaitOperationRequest(name=started.name)
    request.timeout.FromSeconds(40)
    operation = await operations.WaitOperation(request, timeout=45)
    assert operation.done
    return operation


def unpacked(operation: operations_pb2.Operation, kind: Any) -> Any:
    message = kind()
    assert operation.response.Unpack(message), operation
    return message


async def new_revision(
    revisions: RevisionServiceAsyncStub, index: str, **fields: Any
) -> pb.Revision:
    request = pb.CreateRevisionRequest(name=index, **fields)
    return (await revisions.CreateRevision(request)).revision


class TestRebuild:
    async def test_to_another_vector_type(
        self,
        search: SearchServiceAsyncStub,
        revisions: RevisionServiceAsyncStub,
        operations: OperationsStub,
        indexes: IndexServiceAsyncStub,
        index: str,
    ) -> None:
        await write(search, *(upsert(index, n, image_name=f"{n}.jpg") for n in range(300)))
        started = await revisions.RebuildIndex(pb.RebuildIndexRequest(name=index, options=FLAT))
        again = await refusal(revisions.RebuildIndex(pb.RebuildIndexRequest(name=index)))
        # What is written and deleted meanwhile is in the new one too.
        await write(search, *(upsert(index, n) for n in range(300, 330)))
        gone = search_pb.DeleteDocumentsRequest(index=index, image_ids=[image_id(7)])
        await search.DeleteDocuments(gone)
        done = unpacked(await ended(operations, started), pb.RebuildIndexResponse)

        assert again.reason == "OPERATION_RUNNING"
        assert (done.revision.number, done.revision.state) == (2, pb.REVISION_STATE_LIVE)
        assert done.comparison.live_count == done.comparison.other_count == 329
        assert (done.comparison.missing, done.comparison.differing) == (0, 0)
        assert done.comparison.overlap > 0.95
        described = (await indexes.GetIndex(index_pb.GetIndexRequest(name=index))).index
        assert described.options.vector_type == index_pb.VECTOR_TYPE_FLAT
        assert (described.revision, described.document_count) == (2, 329)
        found = [(await find(search, index, n))[0] for n in range(5)]
        assert found == [image_id(n) for n in range(5)]
        assert [r.state for r in await listed(revisions, index)] == [
            pb.REVISION_STATE_STANDBY,
            pb.REVISION_STATE_LIVE,
        ]

    async def test_rolling_back_loses_nothing_written_since(
        self,
        search: SearchServiceAsyncStub,
        revisions: RevisionServiceAsyncStub,
        operations: OperationsStub,
        index: str,
    ) -> None:
        await write(search, *(upsert(index, n) for n in range(20)))
        started = await revisions.RebuildIndex(pb.RebuildIndexRequest(name=index))
        await ended(operations, started)
        await write(search, upsert(index, 20), upsert(index, 3, tags=["new"]))
        gone = search_pb.DeleteDocumentsRequest(index=index, image_ids=[image_id(7)])
        await search.DeleteDocuments(gone)

        request = pb.CompareRevisionsRequest(name=index, revision=1)
        compared = (await revisions.CompareRevisions(request)).comparison
        rolled = await revisions.RollBackRevision(pb.RollBackRevisionRequest(name=index))
        read = search_pb.GetDocumentsRequest(
            index=index, image_ids=[image_id(n) for n in (3, 7, 20)]
        )
        results = (await search.GetDocuments(read)).results
        # And forward again: versions still tell what is newer.
        await write(search, upsert(index, 3, tags=["newer"]), upsert(index, 21))
        forward = await revisions.PromoteRevision(pb.PromoteRevisionRequest(name=index, revision=2))

        assert (compared.live_count, compared.other_count) == (20, 20)
        assert (compared.missing, compared.differing) == (0, 0)
        assert rolled.revision.number == 1
        assert results[0].document.tags == ["new"]
        assert results[1].WhichOneof("outcome") == "error"
        assert results[2].WhichOneof("outcome") == "document"
        assert forward.comparison.live_count == forward.comparison.other_count == 21
        assert sorted(await _tags(search, index, 3)) == ["new", "newer"]

    async def test_what_is_cancelled_or_shut_out_leaves_nothing(
        self,
        search: SearchServiceAsyncStub,
        revisions: RevisionServiceAsyncStub,
        operations: OperationsStub,
        index: str,
    ) -> None:
        await write(search, *(upsert(index, n) for n in range(20)))

        started = await revisions.RebuildIndex(pb.RebuildIndexRequest(name=index))
        await eventually(lambda: _has(revisions, index, 2))
        await operations.CancelOperation(operations_pb2.CancelOperationRequest(name=started.name))
        cancelled = await ended(operations, started)
        await operations.DeleteOperation(operations_pb2.DeleteOperationRequest(name=started.name))
        request = operations_pb2.GetOperationRequest(name=started.name)
        deleted = await refusal(operations.GetOperation(request))

        assert cancelled.error.code == grpc.StatusCode.CANCELLED.value[0]
        assert [r.number for r in await listed(revisions, index)] == [1]
        assert deleted.reason == "OPERATION_NOT_FOUND"
        assert len(await find(search, index, 1)) == 3

    async def test_goes_on_where_a_killed_server_stopped(
        self,
        elasticsearch_url: str,
        search: SearchServiceAsyncStub,
        revisions: RevisionServiceAsyncStub,
        operations: OperationsStub,
        index: str,
    ) -> None:
        """The lease of another server's operation runs out in the middle of its copying."""
        await write(search, *(upsert(index, n) for n in range(50)))
        settings = search_service.settings.Settings(
            listen="127.0.0.1:0",
            elasticsearch_url=elasticsearch_url,
            grace_s=1,
            operation_lease_s=0.5,
        )
        other = search_service.server.running(settings)
        port = await other.__aenter__()
        async with channel(f"127.0.0.1:{port}") as opened:
            from imagesearch.search.v1.revision_service_pb2_grpc import RevisionServiceStub

            request = pb.RebuildIndexRequest(name=index, delete_previous=True)
            started = await RevisionServiceStub(opened).RebuildIndex(request)
        await eventually(lambda: _has(revisions, index, 2))
        await other.__aexit__(None, None, None)

        done = unpacked(await ended(operations, started), pb.RebuildIndexResponse)

        assert done.comparison.live_count == done.comparison.other_count == 50
        assert [r.number for r in await listed(revisions, index)] == [2]


async def _has(revisions: RevisionServiceAsyncStub, index: str, number: int) -> None:
    assert number in [revision.number for revision in await listed(revisions, index)]


async def _tags(search: SearchServiceAsyncStub, index: str, seed: int) -> list[str]:
    request = search_pb.GetDocumentsRequest(index=index, image_ids=[image_id(seed)])
    return list((await search.GetDocuments(request)).results[0].document.tags)


class TestByHand:
    async def test_another_space_is_filled_from_outside(
        self, search: SearchServiceAsyncStub, revisions: RevisionServiceAsyncStub, index: str
    ) -> None:
        await write(search, *(upsert(index, n) for n in range(10)))
        options = index_pb.IndexOptions(dimensions=8)
        made = await new_revision(revisions, index, space="other@sha256:1", options=options)

        requests = [upsert(index, n) for n in range(10)]
        for n, request in enumerate(requests):
            request.revision = made.number
            request.vector.CopyFrom(types.Vector(values=unit_vector(n, 8), space="other@sha256:1"))
        wrong = upsert(index, 11)
        wrong.revision = made.number
        early = pb.PromoteRevisionRequest(name=index, revision=made.number)
        shut = await refusal(revisions.PromoteRevision(early))
        answers = await write(search, *requests, wrong)
        await revisions.PromoteRevision(early)
        found = await search.Search(search_pb.SearchRequest(index=index, vector=requests[3].vector))
        old = await refusal(search.Search(search_pb.SearchRequest(index=index, vector=vector(3))))

        assert shut.reason == "REVISION_STATE"
        assert "10" in shut.message
        assert answers["11"].error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert ids_of(found.hits)[0] == image_id(3)
        assert old.reason == "SPACE_MISMATCH"

    async def test_what_cannot_be_done_says_why(
        self, search: SearchServiceAsyncStub, revisions: RevisionServiceAsyncStub, index: str
    ) -> None:
        delete = pb.DeleteRevisionRequest
        live = await refusal(revisions.DeleteRevision(delete(name=index, revision=1)))
        missing = await refusal(revisions.DeleteRevision(delete(name=index, revision=9)))
        first = await refusal(revisions.RollBackRevision(pb.RollBackRevisionRequest(name=index)))
        unnamed = await refusal(revisions.DeleteRevision(delete(revision=1)))
        numbers = await refusal(
            revisions.RebuildIndex(
                pb.RebuildIndexRequest(
                    name=index,
                    options=index_pb.IndexOptions(dimensions=DIMENSIONS + 1),
                )
            )
        )
        request = upsert(index, 1)
        request.revision = 1
        to_live = (await write(search, request))["1"]

        assert live.reason == first.reason == "REVISION_STATE"
        assert missing.reason == "REVISION_NOT_FOUND"
        assert unnamed.fields == ["name"]
        assert numbers.fields == ["options.dimensions"]
        assert to_live.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]

    async def test_promotions_under_readers_and_writers(
        self,
        elasticsearch_url: str,
        search: SearchServiceAsyncStub,
        revisions: RevisionServiceAsyncStub,
        operations: OperationsStub,
        index: str,
    ) -> None:
        await write(search, *(upsert(index, n) for n in range(30)))
        await ended(operations, await revisions.RebuildIndex(pb.RebuildIndexRequest(name=index)))
        over = asyncio.Event()
        read, written = [0], []

        async def reader() -> None:
            while not over.is_set():
                assert len(await find(search, index, read[0] % 30)) == 3
                read[0] += 1

        async def writer(first: int) -> None:
            async def requests() -> AsyncIterator[search_pb.UpsertDocumentsRequest]:
                seed = first
                while not over.is_set():
                    yield upsert(index, seed)
                    seed += 2
                    await asyncio.sleep(0.002)

            async for answer in search.UpsertDocuments(requests()):
                assert answer.HasField("outcome"), answer
                written.append(answer.image_id)

        work = [*(asyncio.create_task(reader()) for _ in range(4))]
        work += [asyncio.create_task(writer(1_000 + n)) for n in range(2)]
        gate = pb.Gate(open=True)
        for turn in range(PROMOTIONS):
            request = pb.PromoteRevisionRequest(name=index, revision=1 + turn % 2, gate=gate)
            await revisions.PromoteRevision(request)
        over.set()
        await asyncio.gather(*work)

        assert read[0] > PROMOTIONS
        assert len(written) > PROMOTIONS
        compare = pb.CompareRevisionsRequest(name=index, revision=1, samples=1000)
        compared = (await revisions.CompareRevisions(compare)).comparison
        assert compared.live_count == compared.other_count == 30 + len(set(written))
        assert (compared.missing, compared.differing) == (0, 0)
        async with AsyncElasticsearch(elasticsearch_url) as client:
            assert len(await client.indices.get_alias(name=index)) == 1
        found: set[str] = set()
        request = search_pb.ListDocumentsRequest(index=index, page_size=1_000, fields=["image_id"])
        while True:
            page = await search.ListDocuments(request)
            found |= {each.document.image_id for each in page.documents}
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert found >= set(written)
