"""search_service on the oldest server it supports, and on the newest that runs here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.duration_pb2 import Duration
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import (
    index_service_pb2_grpc,
    revision_service_pb2_grpc,
    search_service_pb2_grpc,
)
from imagesearch.search.v1 import revision_service_pb2 as revision_pb
from imagesearch.search.v1 import search_service_pb2 as pb

import search_service.server
import search_service.settings
from imagesearch_dev.elasticsearch.node import ElasticsearchNode, full_jdk
from service_kit.client import channel
from tests.conftest import HOMES
from tests.helpers import SPACE, each, ids_of, image_id, terms, unit_vector

pytestmark = pytest.mark.timeout(240)

DIMENSIONS = 64

NEWEST = "9.5.3"


@pytest.fixture(
    params=[
        "8.19.0",
        pytest.param(
            NEWEST, marks=pytest.mark.skipif(full_jdk() is None, reason="no full JDK of 21 on")
        ),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    java = full_jdk() if request.param == NEWEST else None
    data = tmp_path / "elasticsearch"
    with ElasticsearchNode(data, HOMES, version=request.param, java_home=java) as node:
        yield node.url


def vector(seed: int) -> types.Vector:
    return types.Vector(values=unit_vector(seed, DIMENSIONS), space=SPACE)


async def test_the_whole_way_of_an_index(url: str) -> None:
    """Made, filled, searched, read, rebuilt to another vector type, deleted from."""
    name = "versions"
    documents = [
        types.Document(image_id=image_id(n), image_name=f"{n}.jpg", tags=["even"][n % 2 :])
        for n in range(60)
    ]
    settings = search_service.settings.Settings(
        listen="127.0.0.1:0", elasticsearch_url=url, grace_s=1
    )
    async with search_service.server.running(settings) as port, channel(f"127.0.0.1:{port}") as to:
        indexes = index_service_pb2_grpc.IndexServiceStub(to)
        search = search_service_pb2_grpc.SearchServiceStub(to)
        revisions = revision_service_pb2_grpc.RevisionServiceStub(to)
        operations = operations_pb2_grpc.OperationsStub(to)
        options = index_pb.IndexOptions(dimensions=DIMENSIONS)
        await indexes.CreateIndex(
            index_pb.CreateIndexRequest(name=name, space=SPACE, options=options)
        )

        uploads = [
            pb.UpsertDocumentsRequest(
                index=name,
                document=document,
                vector=vector(n),
                refresh=types.REFRESH_POLICY_IMMEDIATE,
            )
            for n, document in enumerate(documents)
        ]
        outcomes = [
            answer.outcome
            async for answer in search.UpsertDocuments(
                each([*uploads, pb.UpsertDocumentsRequest(index=name)])
            )
        ]
        assert outcomes.count(types.UPSERT_OUTCOME_CREATED) == 60  # and one was refused
        assert len(outcomes) == 61

        found = await search.Search(
            pb.SearchRequest(index=name, vector=vector(8), k=5, filter=terms("tags", "even"))
        )
        assert ids_of(found.hits)[0] == image_id(8)
        assert found.hits[0].score == pytest.approx(1, abs=1e-3)
        assert all(list(hit.document.tags) == ["even"] for hit in found.hits)

        paged: list[str] = []
        request = pb.SearchRequest(index=name, vector=vector(8), k=50, page_size=20)
        while True:
            page = await search.Search(request)
            paged += ids_of(page.hits)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert len(paged) == len(set(paged)) == 50

        read = pb.GetDocumentsRequest(index=name, image_ids=[image_id(3)], include_vectors=True)
        got = (await search.GetDocuments(read)).results[0]
        assert got.document.image_name == "3.jpg"
        assert list(got.vector.values) == pytest.approx(unit_vector(3, DIMENSIONS), abs=1e-2)

        started = await revisions.RebuildIndex(
            revision_pb.RebuildIndexRequest(
                name=name,
                options=index_pb.IndexOptions(
                    dimensions=DIMENSIONS, vector_type=index_pb.VECTOR_TYPE_HNSW
                ),
            )
        )
        waiting = operations_pb2.WaitOperationRequest(
            name=started.name, timeout=Duration(seconds=60)
        )
        ended = await operations.WaitOperation(waiting, timeout=70)
        assert ended.done
        assert not ended.error.code, ended

        deleted = await search.DeleteMatchingDocuments(
            pb.DeleteMatchingDocumentsRequest(index=name, filter=terms("tags", "even"))
        )
        assert (deleted.deleted_count, deleted.complete) == (30, True)
        described = (await indexes.GetIndex(index_pb.GetIndexRequest(name=name))).index
        assert (described.revision, described.options.vector_type) == (
            2,
            index_pb.VECTOR_TYPE_HNSW,
        )
