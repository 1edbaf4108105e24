"""What is killed, stopped or frozen: nothing acknowledged is lost, and all comes back by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from service_kit.client import channel
from tests.helpers import a_picture, eventually, refusal
from tests.system.conftest import System

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub

PICTURES = {f"{n}.png": a_picture(n, side=64) for n in range(250)}


@pytest.fixture
async def images(system: System) -> AsyncIterator[ImageSearchServiceAsyncStub]:
    async with channel(system.gateway) as opened:
        yield pb_grpc.ImageSearchServiceStub(opened)


async def index_all(
    images: ImageSearchServiceAsyncStub, index: str, acknowledged: dict[str, pb.IndexedImage]
) -> None:
    """Sends every picture; notes what is acknowledged. The stream may break at any moment."""

    async def requests() -> AsyncIterator[pb.IndexImagesRequest]:
        for path, content in PICTURES.items():
            upload = pb.ImageUpload(content=content, relative_path=path)
            yield pb.IndexImagesRequest(request_id=path, index=index, image=upload)

    try:
        async for answer in images.IndexImages(requests(), timeout=60):
            if answer.HasField("indexed"):
                acknowledged[answer.request_id] = answer.indexed
    except grpc.aio.AioRpcError as error:
        assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}  # noqa: PT017


async def stored(images: ImageSearchServiceAsyncStub, index: str, image_id: str) -> bool:
    request = pb.GetImageRequest(index=index, image_id=image_id)
    return (await images.GetImage(request, timeout=10)).image.image_id == image_id


@pytest.mark.timeout(120)
@pytest.mark.parametrize("victim", ["search_service", "gateway", "elasticsearch"])
async def test_what_was_acknowledged_survives_a_kill(
    system: System, images: ImageSearchServiceAsyncStub, new_index: str, victim: str
) -> None:
    before: dict[str, pb.IndexedImage] = {}
    indexing = asyncio.create_task(index_all(images, new_index, before))
    while len(before) < 60:
        assert not indexing.done()
        await asyncio.sleep(0.001)

    await asyncio.to_thread(system.kill, victim)
    assert len(before) < len(PICTURES), "it was not in the middle"
    await asyncio.sleep(1)
    await asyncio.to_thread(system.start, victim)
    await asyncio.to_thread(system.wait_until, True)
    await indexing

    await eventually(lambda: stored(images, new_index, before["0.png"].image_id))
    for indexed in before.values():
        assert await stored(images, new_index, indexed.image_id)
        request = pb.GetImageContentRequest(index=new_index, image_id=indexed.image_id)
        assert (await images.GetImageContent(request, timeout=10)).content

    again: dict[str, pb.IndexedImage] = {}
    await index_all(images, new_index, again)

    assert again.keys() == PICTURES.keys()
    for path, indexed in before.items():
        assert again[path].image_id == indexed.image_id
        assert again[path].outcome == types.UPSERT_OUTCOME_UNCHANGED
    status = await images.GetStatus(pb.GetStatusRequest(index=new_index), timeout=10)
    assert status.index.document_count == len(PICTURES)


async def health_of(address: str) -> int:
    async with channel(address) as opened:
        stub = health_pb2_grpc.HealthStub(opened)
        return (await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)).status


@pytest.mark.timeout(120)
async def test_without_elasticsearch_calls_fail_fast_and_work_again_when_it_is_back(
    system: System, images: ImageSearchServiceAsyncStub, new_index: str
) -> None:
    status = health_pb2.HealthCheckResponse
    upload = pb.ImageUpload(content=PICTURES["0.png"])
    await images.IndexImage(pb.IndexImageRequest(index=new_index, image=upload), timeout=30)
    pids = {name: each.process.pid for name, each in system.services.items()}
    search = pb.SearchByImageRequest(index=new_index, image=PICTURES["0.png"])

    await asyncio.to_thread(system.elasticsearch.stop)
    began = time.monotonic()
    refused = await refusal(images.SearchByImage(search, timeout=10))
    took = time.monotonic() - began
    await asyncio.to_thread(system.wait_until, False)

    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.retry
    assert took < 10
    assert await health_of(system.services["search_service"].address) == status.NOT_SERVING
    assert await health_of(system.services["embedder_service"].address) == status.SERVING

    await asyncio.to_thread(system.elasticsearch.start)
    await asyncio.to_thread(system.wait_until, True)

    async def found() -> None:
        assert len((await images.SearchByImage(search, timeout=10)).results) == 1

    await eventually(found)
    assert pids == {name: each.process.pid for name, each in system.services.items()}


@pytest.mark.timeout(120)
async def test_a_frozen_elasticsearch_costs_no_more_than_the_callers_deadline(
    system: System, images: ImageSearchServiceAsyncStub, new_index: str
) -> None:
    """Connections stay open and nothing is answered: only a deadline ends the wait."""
    upload = pb.ImageUpload(content=PICTURES["0.png"])
    await images.IndexImage(pb.IndexImageRequest(index=new_index, image=upload), timeout=30)
    search = pb.SearchByImageRequest(index=new_index, image=PICTURES["0.png"])

    with system.elasticsearch.paused():
        began = time.monotonic()
        refused = await refusal(images.SearchByImage(search, timeout=2))
        took = time.monotonic() - began
        await asyncio.to_thread(system.wait_until, False)

    assert refused.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert took < 3
    await asyncio.to_thread(system.wait_until, True)
    assert len((await images.SearchByImage(search, timeout=10)).results) == 1


@pytest.mark.timeout(120)
async def test_without_the_embedder_calls_fail_fast_and_work_again_when_it_is_back(
    system: System, images: ImageSearchServiceAsyncStub, new_index: str
) -> None:
    upload = pb.ImageUpload(content=PICTURES["0.png"])
    await images.IndexImage(pb.IndexImageRequest(index=new_index, image=upload), timeout=30)
    request = pb.SearchByTextRequest(index=new_index, text="a red circle")

    system.kill("embedder_service")
    refused = await refusal(images.SearchByText(request, timeout=10))
    await asyncio.to_thread(system.wait_until, False)

    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert "embedder" in refused.message
    system.start("embedder_service")
    await asyncio.to_thread(system.wait_until, True)
    assert len((await images.SearchByText(request, timeout=10)).results) == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["embedder_service", "search_service", "gateway"])
async def test_sigterm_ends_a_service_in_good_order(system: System, name: str) -> None:
    process = system.services[name].process

    await asyncio.to_thread(process.stop)

    assert process.exit_status() == 0
    assert '"event": "stopped"' in process.last_lines(3)
    process.start()
    await asyncio.to_thread(system.wait_until, True)
