"""SIGTERM under load: what was asked is answered, and what comes later goes elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc
from imagesearch.search.v1 import search_service_pb2 as search_pb
from imagesearch.search.v1 import search_service_pb2_grpc

from benchmarks.report import Bar, Report
from imagesearch_client import AsyncClient
from imagesearch_dev.elasticsearch.node import ElasticsearchNode
from service_kit.client import channel
from tests.chaos import FULL, SHARE
from tests.chaos.system import System
from tests.chaos.traffic import INDEX, Questions, closed_loop, traffic
from tests.services_as_processes import SERVICES

TIMES = 20 if FULL else 2

JOINED_S = 3.0
"""After which a replica that is back takes its share: the longest pause before a connection is
tried again is two seconds."""

pytestmark = pytest.mark.timeout(1_800 if FULL else 180)


@pytest.fixture(scope="module")
async def twins(
    node: ElasticsearchNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """Two of each service, behind round_robin."""
    async with System(tmp_path_factory.mktemp("twins"), node, replicas=2) as twins:
        yield twins


@pytest.fixture(scope="module")
async def client_of_twins(twins: System) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(twins.gateways) as client:
        yield client


@pytest.fixture(scope="module")
async def capacity_of_twins(client_of_twins: AsyncClient, questions: Questions) -> float:
    await closed_loop(client_of_twins, questions, 2.0)
    return await closed_loop(client_of_twins, questions, 10.0 if FULL else 2.0)


# The embedder's start takes most of a minute beside the work of the other one.
@pytest.mark.parametrize("name", SERVICES if FULL else ("search_service", "gateway"))
async def test_one_of_two_leaves_and_comes_back_without_a_failed_call(
    twins: System,
    client_of_twins: AsyncClient,
    questions: Questions,
    capacity_of_twins: float,
    report: Report,
    name: str,
) -> None:
    """They take turns: the second time, the one that came back has all the work."""
    async with traffic(client_of_twins, questions, SHARE * capacity_of_twins, 20.0) as outcomes:
        for number in range(TIMES):
            leaving = twins.services[name][number % 2]
            await asyncio.sleep(1.0)
            assert await leaving.stop() == 0, leaving.process.last_lines()
            await leaving.start()
            await leaving.until_serving()
            await asyncio.sleep(JOINED_S)

    failed = outcomes.failed + len(outcomes.wrong)
    report.add(Bar(f"one of two of {name} stopped {TIMES}x: failed calls", failed, 0, False))
    assert not failed, outcomes
    assert outcomes.right


def a_call(name: str, opened: grpc.aio.Channel) -> Awaitable[Any]:
    """A call that a service has some work with."""
    embedder: Any = embedder_service_pb2_grpc.EmbedderServiceStub(opened)
    search: Any = search_service_pb2_grpc.SearchServiceStub(opened)
    images: Any = image_search_service_pb2_grpc.ImageSearchServiceStub(opened)
    text = "a red circle"
    if name == "embedder_service":
        inputs = [embedder_pb.EmbedInput(text=text)]
        call = embedder.Embed(embedder_pb.EmbedRequest(inputs=inputs), timeout=20)
    elif name == "search_service":
        call = search.CountDocuments(search_pb.CountDocumentsRequest(index=INDEX), timeout=20)
    else:
        call = images.SearchByText(pb.SearchByTextRequest(index=INDEX, text=text), timeout=20)
    answer: Awaitable[Any] = call
    return answer


@pytest.mark.parametrize("name", SERVICES)
async def test_what_was_sent_before_is_answered_by_the_only_one(
    system: System, client: AsyncClient, questions: Questions, report: Report, name: str
) -> None:
    failed: list[BaseException] = []
    for _ in range(TIMES // 2):
        async with channel(system.services[name][0].address) as opened:
            await a_call(name, opened)
            calls = [asyncio.ensure_future(a_call(name, opened)) for _ in range(100)]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            waiting = sum(not call.done() for call in calls)
            stopping = asyncio.create_task(system.stop(name))
            ends = await asyncio.gather(*calls, return_exceptions=True)
            await stopping
        failed += [end for end in ends if isinstance(end, BaseException)]
        assert waiting, "nothing was in flight any more"
        await system.start(name)
        await system.until_serving()
        await questions.until_right(client, 30.0)

    what = f"the only {name} stopped {TIMES // 2}x: calls in flight that failed"
    report.add(Bar(what, len(failed), 0, False))
    assert not failed
