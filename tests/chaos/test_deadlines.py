"""Short deadlines while parts are frozen: all calls end in time, and nothing late is computed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import grpc
import pytest
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from benchmarks.report import Bar, Report
from service_kit.client import channel
from tests.chaos import FULL
from tests.chaos.system import System
from tests.helpers import a_picture, eventually

CALLS = 500 if FULL else 100
"""For each service that is frozen."""

A_SECOND = 25.0
FREEZE_S = 1.0
SHORTEST_S, LONGEST_S = 0.005, 2.0

LATE_S = 0.1 if FULL else 0.5
"""How long after its deadline a call may end. More where others use the machine too."""

MAX_BATCH = 8

STORED = 10
"""Images in the index."""


@dataclass
class Ends:
    """How calls ended.

    Attributes:
        codes: How many with each status.
        late_s: Seconds after its deadline that each ended; negative: before.
    """

    codes: Counter[str] = field(default_factory=Counter)
    late_s: list[float] = field(default_factory=list)


async def search(
    images: pb_grpc.ImageSearchServiceAsyncStub, index: str, n: int, ends: Ends
) -> None:
    # As many of 5 to 50 ms as of 0.2 to 2 s.
    timeout_s = SHORTEST_S * (LONGEST_S / SHORTEST_S) ** random.Random(n).random()
    request = pb.SearchByImageRequest(index=index, image=a_picture(n % 50), k=3)
    began = time.monotonic()
    code = await images.SearchByImage(request, timeout=timeout_s).code()
    ends.codes[code.name] += 1
    ends.late_s.append(time.monotonic() - began - timeout_s)


async def embedded(loaded: System) -> int:
    """Images that the model has computed."""
    async with channel(loaded.address("embedder_service")) as opened:
        stub = embedder_grpc.EmbedderServiceStub(opened)
        answer = await stub.GetStatistics(embedder_pb.GetStatisticsRequest(), timeout=10)
    assert not any(model.waiting for model in answer.models)
    return sum(m.computed for m in answer.models if m.modality == embedder_pb.MODALITY_IMAGE)


async def freeze_half_of_the_time(loaded: System, name: str, until: asyncio.Event) -> int:
    """Gives how often."""
    times = 0
    while not until.is_set():
        with loaded.frozen(name):
            await asyncio.sleep(FREEZE_S)
        times += 1
        await asyncio.sleep(FREEZE_S)
    return times


async def calls_while_frozen(loaded: System, name: str, index: str) -> tuple[Ends, int]:
    """Searches at an even pace; gives how they ended, and how often the service was frozen."""
    ends, over = Ends(), asyncio.Event()
    async with channel(loaded.address("gateway")) as opened:
        images = pb_grpc.ImageSearchServiceStub(opened)
        for n in range(STORED):
            upload = pb.ImageUpload(content=a_picture(n))
            await images.IndexImage(pb.IndexImageRequest(index=index, image=upload), timeout=30)
        freezing = asyncio.create_task(freeze_half_of_the_time(loaded, name, over))
        calls = []
        for n in range(CALLS):
            calls.append(asyncio.create_task(search(images, index, n, ends)))
            await asyncio.sleep(1 / A_SECOND)
        await asyncio.gather(*calls)
        over.set()
        times = await freezing
    await loaded.until_serving()
    return ends, times


def check_that_all_ended_in_time(ends: Ends, frozen: str, report: Report) -> None:
    print(f"\n{dict(ends.codes)}")
    what = f"{CALLS} calls, {frozen} frozen half the time: latest after its deadline, s"
    report.add(Bar(what, max(ends.late_s), LATE_S, False))
    assert ends.codes.total() == CALLS
    # UNAVAILABLE: while the service was frozen its health was, too.
    assert set(ends.codes) <= {"OK", "DEADLINE_EXCEEDED", "UNAVAILABLE"}
    assert ends.codes["OK"] > 0
    assert ends.codes["DEADLINE_EXCEEDED"] > 0
    assert max(ends.late_s) <= LATE_S


@pytest.mark.timeout(300 if FULL else 120)
async def test_with_a_frozen_embedder_calls_end_in_time_and_none_is_embedded_too_late(
    loaded: System, new_index: str, report: Report
) -> None:
    """When it goes on it finds calls whose time is over."""
    before = await eventually(lambda: embedded(loaded))

    ends, times = await calls_while_frozen(loaded, "embedder_service", new_index)
    computed = await eventually(lambda: embedded(loaded)) - before - STORED

    check_that_all_ended_in_time(ends, "embedder_service", report)
    # A freeze may catch batches in the middle; and the time of some is over between the two.
    excess, bound = computed - ends.codes["OK"], MAX_BATCH * times + CALLS // (10 if FULL else 4)
    what = f"{computed} computed, frozen {times}x: not answered"
    report.add(Bar(what, excess, bound, False))
    assert excess <= bound


@pytest.mark.timeout(300 if FULL else 120)
async def test_with_a_frozen_elasticsearch_calls_end_in_time(
    loaded: System, new_index: str, report: Report
) -> None:
    ends, _ = await calls_while_frozen(loaded, "elasticsearch", new_index)

    check_that_all_ended_in_time(ends, "elasticsearch", report)


async def test_a_deadline_that_is_over_reaches_no_other_service(
    loaded: System, new_index: str
) -> None:
    """The gateway itself is frozen meanwhile: it finds calls that nobody waits for."""
    async with channel(loaded.address("gateway")) as opened:
        images = pb_grpc.ImageSearchServiceStub(opened)
        upload = pb.ImageUpload(content=a_picture(1))
        request = pb.IndexImageRequest(index=new_index, image=upload)
        await images.IndexImage(request, timeout=30)
        before = await eventually(lambda: embedded(loaded))
        search_ = pb.SearchByImageRequest(index=new_index, image=a_picture(2))
        with loaded.frozen("gateway"):
            calls = [images.SearchByImage(search_, timeout=0.3) for _ in range(20)]
            codes = await asyncio.gather(*(call.code() for call in calls))
            await asyncio.sleep(0.2)
        await loaded.until_serving()
        await images.SearchByImage(search_, timeout=30)

    assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert await eventually(lambda: embedded(loaded)) - before == 1
