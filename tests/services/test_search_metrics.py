"""What search_service tells its operators: metrics, and searches that were slow."""

from __future__ import annotations

import asyncio
import re
import urllib.request

import pytest
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import index_service_pb2_grpc, search_service_pb2_grpc
from imagesearch.search.v1 import search_service_pb2 as pb

import search_service.server
import search_service.settings
from service_kit.client import channel
from tests.helpers import SPACE, refusal
from tests.services.test_search_service import DIMENSIONS, upsert, vector, write


async def test_what_is_done_is_counted_by_index(
    elasticsearch_url: str, new_index: str, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = search_service.settings.Settings(
        listen="127.0.0.1:0",
        metrics_listen=f"127.0.0.1:{free_port}",
        elasticsearch_url=elasticsearch_url,
        slow_search_s=0,
        grace_s=1,
    )
    async with (
        search_service.server.running(settings) as port,
        channel(f"127.0.0.1:{port}") as opened,
    ):
        indexes = index_service_pb2_grpc.IndexServiceStub(opened)
        search = search_service_pb2_grpc.SearchServiceStub(opened)
        options = index_pb.IndexOptions(dimensions=DIMENSIONS)
        request = index_pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
        await indexes.CreateIndex(request)
        bad = upsert(new_index, 9)
        bad.vector.space = "another"
        lost = upsert("no-such-index", 8)
        await write(search, *(upsert(new_index, n) for n in range(5)), bad, lost)
        for _ in range(3):
            await search.Search(pb.SearchRequest(index=new_index, vector=vector(1)))
        wrong = pb.SearchRequest(index=new_index, vector=vector(1), lucene_query="a:(")
        await refusal(search.Search(wrong))
        await indexes.MeasureRecall(index_pb.MeasureRecallRequest(name=new_index, samples=2))
        url = f"http://127.0.0.1:{free_port}/metrics"
        body = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))

    def value(name: str, **labels: str) -> float:
        for line in body.splitlines():
            if line.startswith(f"imagesearch_search_{name}{{") and all(
                f'{label}="{wanted}"' in line for label, wanted in labels.items()
            ):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no {name} of {labels} in\n{body}")

    assert value("documents_total", index=new_index, outcome="created") == 5
    assert value("documents_total", index=new_index, outcome="refused") == 1
    assert value("operation_seconds_count", index=new_index, operation="Search") == 4
    assert value("operations_failed_total", index=new_index, operation="Search") == 1
    assert value("bulk_documents_sum", index=new_index) == 5
    assert value("elasticsearch_search_seconds_count", index=new_index) == 3
    assert value("recall", index=new_index, num_candidates="100") == 1
    assert "no-such-index" not in body
    assert re.search(r"^imagesearch_search_pending_bytes 0\.0$", body, re.MULTILINE)
    assert "slow_search" in capsys.readouterr().out
