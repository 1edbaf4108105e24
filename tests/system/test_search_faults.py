"""search_service through failures: killed, frozen, overloaded, in the middle of everything.

`SOAK=1` runs each at the size that its name promises, some minutes each; without it they are
smaller, and do the same.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psutil
import pytest
from elasticsearch import AsyncElasticsearch
from google.longrunning import operations_pb2, operations_pb2_grpc
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import (
    index_service_pb2_grpc,
    revision_service_pb2_grpc,
    search_service_pb2_grpc,
)
from imagesearch.search.v1 import revision_service_pb2 as revision_pb
from imagesearch.search.v1 import search_service_pb2 as pb

from imagesearch_dev.elasticsearch.node import ElasticsearchCluster, ElasticsearchNode
from service_kit.client import channel
from tests.conftest import HOMES
from tests.helpers import SPACE, each, eventually, ids_of, image_id, unit_vector
from tests.services_as_processes import Service

if TYPE_CHECKING:
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

SOAK = bool(os.environ.get("SOAK"))
DIMENSIONS = 16

pytestmark = pytest.mark.timeout(1_800 if SOAK else 240)


@contextmanager
def running(url: str, folder: Path, **settings: str) -> Iterator[Service]:
    """A search_service in a process of its own."""
    env = {
        "ELASTICSEARCH_URL": url,
        "SEARCH_OPERATION_LEASE_S": "1",
        "SEARCH_LOG_LEVEL": "WARNING",
        **settings,
    }
    service = Service("search_service", folder / "search_service.log", env)
    try:
        start(service)
        yield service
    finally:
        service.process.stop()


def start(service: Service) -> None:
    service.process.start()
    service.wait()


def restart(service: Service) -> None:
    """As a supervisor does after a SIGKILL."""
    service.process.kill()
    start(service)


@asynccontextmanager
async def stubs(service: Service) -> AsyncIterator[tuple[Any, SearchServiceAsyncStub]]:
    async with channel(service.address) as opened:
        yield (
            index_service_pb2_grpc.IndexServiceStub(opened),
            search_service_pb2_grpc.SearchServiceStub(opened),
        )


async def create(indexes: Any, name: str, **options: int) -> None:
    given = index_pb.IndexOptions(dimensions=DIMENSIONS, **options)
    request = index_pb.CreateIndexRequest(name=name, space=SPACE, options=given)
    await indexes.CreateIndex(request, timeout=30)


def a_document(index: str, seed: int) -> pb.UpsertDocumentsRequest:
    return pb.UpsertDocumentsRequest(
        request_id=str(seed),
        index=index,
        document=types.Document(image_id=image_id(seed), image_name=f"{seed}.jpg"),
        vector=types.Vector(values=unit_vector(seed, DIMENSIONS), space=SPACE),
    )


class Sender:
    """Sends documents until each was acknowledged, whatever breaks.

    Attributes:
        left: Seeds of those that were not acknowledged yet.
        refused: Why documents were not stored, and how often; they are sent again.
        outcomes: How often what was done with an acknowledged one.
    """

    def __init__(self, service: Service, index: str, seeds: range, bulk_load: bool = False) -> None:
        self._service = service
        self._index = index
        self._bulk_load = bulk_load
        self.left = dict.fromkeys(seeds)
        self.refused: Counter[str] = Counter()
        self.outcomes: Counter[int] = Counter()

    async def send_all(self) -> None:
        async with stubs(self._service) as (_, search):
            while self.left:
                try:
                    await self._send(search)
                except grpc.aio.AioRpcError as error:
                    self.refused[error.code().name] += 1
                    await asyncio.sleep(0.2)

    async def until_left(self, most: float) -> None:
        """Waits until no more than so many are left."""
        for _ in range(1_000_000):
            if len(self.left) <= most:
                return
            await asyncio.sleep(0.001)

    async def _send(self, search: SearchServiceAsyncStub) -> None:
        async def requests() -> AsyncIterator[pb.UpsertDocumentsRequest]:
            for seed in list(self.left):
                request = a_document(self._index, seed)
                request.bulk_load = self._bulk_load
                yield request

        async for answer in search.UpsertDocuments(requests()):
            if answer.HasField("outcome"):
                del self.left[int(answer.request_id)]
                self.outcomes[answer.outcome] += 1
            else:
                assert answer.error.message
                self.refused[answer.error.message] += 1


async def listed(search: SearchServiceAsyncStub, index: str) -> list[str]:
    found: list[str] = []
    request = pb.ListDocumentsRequest(index=index, page_size=1000, fields=["image_id"])
    while True:
        page = await search.ListDocuments(request, timeout=30)
        found += [each.document.image_id for each in page.documents]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_twenty_thousand_documents_through_kills_and_pauses(
    node: ElasticsearchNode, new_index: str, tmp_path: Path
) -> None:
    """Elasticsearch killed 10 times and paused 5 times, the service killed 5 times."""
    count, faults = 4_000, ["kill", "pause", "service"]
    if SOAK:
        count, faults = 20_000, ["kill"] * 10 + ["pause"] * 5 + ["service"] * 5
    random.Random(1).shuffle(faults)
    with running(node.url, tmp_path) as service:
        async with stubs(service) as (indexes, _):
            await create(indexes, new_index)
        sender = Sender(service, new_index, range(count))
        sending = asyncio.create_task(sender.send_all())
        for number, fault in enumerate(faults, 1):
            # Each in the middle of its own part of the work.
            await sender.until_left(count * (1 - number / (len(faults) + 1)))
            if fault == "kill":
                node.kill()
                await asyncio.to_thread(node.start)
            elif fault == "pause":
                with node.paused():
                    await asyncio.sleep(2)
            else:
                await asyncio.to_thread(restart, service)
        await sending
        async with stubs(service) as (indexes, search):
            await eventually(lambda: indexes.RefreshIndex(refresh(new_index), timeout=10))
            found = await listed(search, new_index)

    assert sorted(found) == sorted(image_id(n) for n in range(count))
    assert sum(sender.outcomes.values()) == count
    assert sum(sender.refused.values()) > 0  # the faults were felt


def refresh(name: str) -> index_pb.RefreshIndexRequest:
    return index_pb.RefreshIndexRequest(name=name)


def poison(seed: int) -> pb.UpsertDocumentsRequest:
    """A document that can never be stored, in one of several ways."""
    request = a_document("documents", seed)
    ways: list[Callable[[], Any]] = [
        lambda: request.vector.values.append(1.0),
        lambda: request.vector.values.__setitem__(0, float("nan")),
        lambda: setattr(request.vector, "space", "another"),
        lambda: setattr(request.document, "image_id", "x"),
        lambda: setattr(request.document, "caption", "long " * 300_000),
    ]
    ways[seed // 100 % len(ways)]()
    return request


@pytest.mark.parametrize(
    "settings",
    [
        {
            "thread_pool.write.size": "1",
            "thread_pool.write.queue_size": "1",
            "indexing_pressure.memory.limit": "4mb",
        },
        {"http.max_content_length": "1mb"},
    ],
    ids=["overloaded", "small-requests"],
)
async def test_ten_thousand_documents_with_poison_among_them(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """One in a hundred can never be stored; Elasticsearch refuses work all the time."""
    count = 10_000 if SOAK else 3_000
    elasticsearch = ElasticsearchNode(tmp_path / "elasticsearch", HOMES, settings=settings)
    ends: Counter[str] = Counter()
    reasons: dict[int, str] = {}
    bulks = {"SEARCH_MAX_BULKS": "8", "SEARCH_MAX_BULK_BYTES": "6000000"}
    with elasticsearch as node, running(node.url, tmp_path, **bulks) as service:
        async with stubs(service) as (indexes, search):
            await create(indexes, "documents")
            left = dict.fromkeys(range(count))
            while left:
                answers = search.UpsertDocuments(each(map(large, list(left))))
                async for answer in answers:
                    if answer.HasField("outcome"):
                        ends["stored"] += 1
                    elif answer.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]:
                        ends["busy"] += 1
                        continue
                    else:
                        reasons[int(answer.request_id)] = answer.error.message
                    del left[int(answer.request_id)]
            await indexes.RefreshIndex(refresh("documents"), timeout=10)
            found = await search.CountDocuments(pb.CountDocumentsRequest(index="documents"))

    assert ends["stored"] == found.count == count * 99 // 100
    assert sorted(reasons) == list(range(0, count, 100))
    assert all(reasons.values())


def large(seed: int) -> pb.UpsertDocumentsRequest:
    """A document of some 4 kB; each hundredth can never be stored."""
    request = poison(seed) if seed % 100 == 0 else a_document("documents", seed)
    request.document.attributes["padding"] = "x" * 4_000
    return request


async def test_a_kill_at_each_step_of_a_rebuild(
    node: ElasticsearchNode, new_index: str, tmp_path: Path
) -> None:
    count = 5_000 if SOAK else 1_500
    steps = ["waiting", "copying", "checking", "merging", "comparing", "deleting"]
    with running(node.url, tmp_path) as service:
        async with stubs(service) as (indexes, _):
            await create(indexes, new_index)
        await Sender(service, new_index, range(count)).send_all()
        async with channel(service.address) as opened:
            stub: Any = revision_service_pb2_grpc.RevisionServiceStub(opened)
            request = revision_pb.RebuildIndexRequest(
                name=new_index, optimize=True, delete_previous=True
            )
            started = await stub.RebuildIndex(request, timeout=30)
        seen = []
        for step in steps:
            if await until_step(service.address, started.name, step):
                seen.append(step)
                await asyncio.to_thread(restart, service)
        await until_step(service.address, started.name, "")
        async with channel(service.address) as opened:
            stub = revision_service_pb2_grpc.RevisionServiceStub(opened)
            request = revision_pb.ListRevisionsRequest(name=new_index)
            revisions = (await stub.ListRevisions(request, timeout=10)).revisions
            operation = await get_operation(opened, started.name)
        async with stubs(service) as (_, search):
            found = await listed(search, new_index)

    assert {"waiting", "copying"} <= set(seen), seen
    assert not operation.error.code, operation.error
    assert [(r.number, r.state) for r in revisions] == [(2, revision_pb.REVISION_STATE_LIVE)]
    assert sorted(found) == sorted(image_id(n) for n in range(count))


async def get_operation(opened: grpc.aio.Channel, name: str) -> operations_pb2.Operation:
    stub = operations_pb2_grpc.OperationsStub(opened)
    return await stub.GetOperation(operations_pb2.GetOperationRequest(name=name), timeout=10)


async def until_step(address: str, name: str, step: str) -> bool:
    """Waits until an operation is at a step, or is done; says whether it is at the step."""
    metadata = index_pb.OperationMetadata()
    async with channel(address) as opened:
        for _ in range(20_000):
            operation = await get_operation(opened, name)
            if operation.done:
                return False
            operation.metadata.Unpack(metadata)
            if step and metadata.step.startswith(step):
                return True
            await asyncio.sleep(0.003)
    raise AssertionError(f"it never came to {step!r}; it is at {metadata.step!r}")


async def test_a_bulk_load_whose_server_is_killed_is_cleaned_up_after(
    node: ElasticsearchNode, new_index: str, tmp_path: Path
) -> None:
    count = 2_000
    with running(node.url, tmp_path) as service:
        async with stubs(service) as (indexes, _):
            await create(indexes, new_index)
        loading = Sender(service, new_index, range(count), bulk_load=True)
        sending = asyncio.create_task(loading.send_all())
        await loading.until_left(count / 2)
        assert (await settings_of(node, new_index))["refresh_interval"] == "-1"
        await asyncio.to_thread(service.process.kill)
        sending.cancel()
        left = dict(loading.left)
        await asyncio.to_thread(start, service)

        async def restored() -> None:
            settings = await settings_of(node, new_index)
            assert "refresh_interval" not in settings
            assert settings["auto_expand_replicas"] == "0-1"

        await eventually(restored, 60)
        await Sender(service, new_index, range(count)).send_all()
        async with stubs(service) as (indexes, search):
            await indexes.RefreshIndex(refresh(new_index), timeout=10)
            found = await listed(search, new_index)

    assert left
    assert sorted(found) == sorted(image_id(n) for n in range(count))


async def settings_of(node: ElasticsearchNode, index: str) -> dict[str, Any]:
    async with AsyncElasticsearch(node.url) as client:
        answer = await client.indices.get_settings(index=index)
    settings: dict[str, Any] = next(iter(answer.values()))["settings"]["index"]
    return settings


async def test_a_node_of_three_is_killed_under_load(tmp_path: Path) -> None:
    """Searches that fail are made once more, as a client does; none fails then."""
    count = 5_000 if SOAK else 1_500
    with (
        ElasticsearchCluster(tmp_path / "cluster", HOMES) as cluster,
        running(cluster.url, tmp_path) as service,
    ):
        async with stubs(service) as (indexes, search):
            await create(indexes, "documents", replicas=1, shards=3)
            await eventually(lambda: green(indexes, "documents"), 60)
            sender = Sender(service, "documents", range(count))
            sending = asyncio.create_task(sender.send_all())
            over = asyncio.Event()
            searched: Counter[str] = Counter()
            vector = types.Vector(values=unit_vector(1, DIMENSIONS), space=SPACE)
            ask = pb.SearchRequest(index="documents", vector=vector, k=1)

            async def searches() -> None:
                while not over.is_set():
                    for attempt in range(10):
                        try:
                            await search.Search(ask, timeout=30)
                        except grpc.aio.AioRpcError as error:
                            assert error.code() is grpc.StatusCode.UNAVAILABLE, error  # noqa: PT017
                            await asyncio.sleep(0.1 * 2**attempt)
                        else:
                            searched["retried" if attempt else "at once"] += 1
                            break
                    else:
                        searched["failed"] += 1

            searching = asyncio.gather(*(searches() for _ in range(2)))
            await sender.until_left(count / 2)
            cluster.nodes[1].kill()
            await sending
            over.set()
            await searching
            await eventually(lambda: indexes.RefreshIndex(refresh("documents"), timeout=10), 90)
            found = await listed(search, "documents")

    assert searched["failed"] == 0
    assert searched["at once"] > 10
    assert sorted(found) == sorted(image_id(n) for n in range(count))


async def green(indexes: Any, name: str) -> None:
    described = await indexes.GetIndex(index_pb.GetIndexRequest(name=name), timeout=10)
    assert described.index.health == index_pb.INDEX_HEALTH_GREEN


async def test_memory_is_bounded_while_elasticsearch_is_paused(
    node: ElasticsearchNode, new_index: str, tmp_path: Path
) -> None:
    """Four streams push on; what does not fit waits in the clients."""
    seconds, count = (60, 20_000) if SOAK else (5, 2_000)
    with running(node.url, tmp_path) as service:
        process = psutil.Process(service.process.pid)
        async with stubs(service) as (indexes, search):
            await create(indexes, new_index)
            sending = []
            before = process.memory_info().rss
            most = 0
            with node.paused():
                for part in range(4):
                    sender = Sender(service, new_index, range(part * count, (part + 1) * count))
                    sending.append(asyncio.create_task(sender.send_all()))
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    most = max(most, process.memory_info().rss)
                    await asyncio.sleep(0.05)
            await asyncio.gather(*sending)
            await indexes.RefreshIndex(refresh(new_index), timeout=30)
            found = await search.CountDocuments(pb.CountDocumentsRequest(index=new_index))
            answer = await search.Search(
                pb.SearchRequest(index=new_index, vector=a_document("", 7).vector), timeout=10
            )

    assert most - before < 200e6
    assert found.count == 4 * count
    assert ids_of(answer.hits)[0] == image_id(7)
