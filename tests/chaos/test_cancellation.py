"""Callers who leave: what they asked for is not computed, and what they held is given back."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from benchmarks.report import Bar, Report
from service_kit.client import channel
from tests.chaos import FULL
from tests.chaos.system import System
from tests.helpers import a_picture, eventually

QUEUED, CANCELLED = 500, 400
ROUNDS = 5 if FULL else 2

# Takes the embedder longer to decode than the callers need to leave.
PICTURE = a_picture(3, 2000, "JPEG")

IN_FLIGHT = 3 * 8 + 16
"""Inputs that are past recall: batches of eight handed over, images being decoded."""

MORE_MEMORY = 150_000_000
"""Bytes that a service may have more after several rounds than after the first."""


async def images_of(stub: embedder_grpc.EmbedderServiceAsyncStub) -> embedder_pb.ModelStatistics:
    answer = await stub.GetStatistics(embedder_pb.GetStatisticsRequest(), timeout=30)
    return next(m for m in answer.models if m.modality == embedder_pb.MODALITY_IMAGE)


async def nothing_waits(
    stub: embedder_grpc.EmbedderServiceAsyncStub,
) -> embedder_pb.ModelStatistics:
    found = await images_of(stub)
    assert found.waiting == 0
    return found


async def a_round(embedder: embedder_grpc.EmbedderServiceAsyncStub) -> tuple[int, int]:
    """Queues calls and leaves most; gives how many were computed from then on, and were wanted."""
    request = embedder_pb.EmbedRequest(inputs=[embedder_pb.EmbedInput(image=PICTURE)])
    calls = [embedder.Embed(request, timeout=100) for _ in range(QUEUED)]

    async def most_are_queued() -> None:
        assert (await images_of(embedder)).waiting > QUEUED * 0.6

    await eventually(most_are_queued, pause_s=0.01)
    leaving = [call for call in calls if not call.done()][-CANCELLED:]
    before = (await images_of(embedder)).computed
    for call in leaving:
        call.cancel()
    staying = [call for call in calls if call not in leaving]
    codes = Counter(await asyncio.gather(*(call.code() for call in staying)))
    after = (await eventually(lambda: nothing_waits(embedder))).computed
    assert codes == {grpc.StatusCode.OK: len(staying)}
    assert len(leaving) > CANCELLED / 2
    return after - before, len(staying)


@pytest.mark.timeout(600 if FULL else 120)
async def test_what_nobody_waits_for_any_more_is_not_computed(
    loaded: System, report: Report
) -> None:
    memory: list[int] = []
    unwanted: list[int] = []
    async with channel(loaded.address("embedder_service")) as opened:
        embedder = embedder_grpc.EmbedderServiceStub(opened)
        for _ in range(ROUNDS):
            computed, wanted = await a_round(embedder)
            print(f"\n{computed} computed, {wanted} wanted, of {QUEUED}")
            unwanted.append(computed - wanted)
            memory.append(loaded.memory("embedder_service"))
    what = f"{QUEUED} queued, {CANCELLED} cancelled: computed for nobody"
    report.add(Bar(what, max(unwanted), IN_FLIGHT, False))
    report.add(Bar("memory after it, more, MB", (memory[-1] - memory[0]) / 1e6, 150, False))
    assert max(unwanted) <= IN_FLIGHT
    assert memory[-1] - memory[0] < MORE_MEMORY, memory


@pytest.mark.timeout(120)
async def test_whoever_leaves_the_gateway_leaves_the_embedder_too(
    loaded: System, new_index: str
) -> None:
    upload = pb.ImageUpload(content=a_picture(1))
    search = pb.SearchByImageRequest(index=new_index, image=a_picture(2))
    async with (
        channel(loaded.address("embedder_service")) as to_embedder,
        channel(loaded.address("gateway")) as to_gateway,
    ):
        embedder = embedder_grpc.EmbedderServiceStub(to_embedder)
        images = pb_grpc.ImageSearchServiceStub(to_gateway)
        stored = pb.IndexImageRequest(
            index=new_index, image=upload, refresh=types.REFRESH_POLICY_IMMEDIATE
        )
        await images.IndexImage(stored, timeout=30)
        before = await eventually(lambda: nothing_waits(embedder))
        with loaded.frozen("embedder_service"):  # all wait for it, none is begun
            calls = [images.SearchByImage(search, timeout=100) for _ in range(40)]
            await asyncio.sleep(3)
            for call in calls:
                call.cancel()
            await asyncio.sleep(1)
        after = await eventually(lambda: nothing_waits(embedder))

        assert after.computed - before.computed <= 10
        found = await images.SearchByImage(search, timeout=30)
        assert len(found.results) == 1
