"""Broken images against the real embedder and gateway: they cost nobody but themselves.

Some hundred are sent; with CHAOS=1 in the environment ten thousand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from imagesearch.embedder.v1 import embedder_service_pb2 as pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as pb_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as gateway_pb
from numpy.typing import NDArray

from benchmarks.report import Bar, Report
from service_kit.client import channel
from tests.chaos import FULL
from tests.chaos.broken_images import mutated, odd, originals
from tests.helpers import a_picture, each
from tests.services_as_processes import Service

if TYPE_CHECKING:
    from imagesearch.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub

COUNT = 10_000 if FULL else 500
BATCH = 16
LONGEST_S = 5.0 if FULL else 30.0
"""Of one call: as it must be, and as it may be on a machine that tests share."""

MOST_MEMORY = 512 * 1024 * 1024

pytestmark = pytest.mark.timeout(3600 if FULL else 600)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """embedder_service with the tiny model."""
    env = {
        "EMBEDDER_CACHE_BYTES": "0",
        "EMBEDDER_DECODE_PROCESSES": "2",
        "EMBEDDER_DECODE_TIMEOUT_S": "2",
        "EMBEDDER_MAX_IMAGE_PIXELS": "16000000",
    }
    service = Service("embedder_service", tmp_path_factory.mktemp("chaos") / "embedder.log", env)
    service.process.start()
    try:
        service.wait()
        yield service
    finally:
        service.process.stop()


@pytest.fixture(scope="module")
def process(service: Service) -> psutil.Process:
    return psutil.Process(service.process.pid)


@pytest.fixture(scope="module")
async def embedder(service: Service) -> AsyncIterator[EmbedderServiceAsyncStub]:
    async with channel(service.address) as opened:
        yield pb_grpc.EmbedderServiceStub(opened)


async def embed(stub: EmbedderServiceAsyncStub, images: Sequence[bytes]) -> list[pb.EmbedResult]:
    inputs = [pb.EmbedInput(image=data) for data in images]
    began = time.monotonic()
    answer = await stub.Embed(pb.EmbedRequest(inputs=inputs), timeout=60)
    assert time.monotonic() - began < LONGEST_S
    return list(answer.results)


def memory(process: psutil.Process) -> int:
    """Bytes that a service and its decoders hold, what they share counted once."""
    total = 0
    for each_one in (process, *process.children(recursive=True)):
        try:
            total += int(each_one.memory_full_info().pss)
        except psutil.NoSuchProcess:
            continue
    return total


def reason(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details), status
    return info.reason


def unit(result: pb.EmbedResult) -> NDArray[np.float32]:
    return np.array(result.vector.values, np.float32)


async def test_broken_images_cost_nobody_but_themselves(
    embedder: EmbedderServiceAsyncStub, process: psutil.Process, report: Report
) -> None:
    good = [a_picture(n, 300, "JPEG") for n in range(4)]
    alone = [unit((await embed(embedder, [data]))[0]) for data in good]
    before, most, longest_s, least_alike = memory(process), 0, 0.0, 1.0
    batch: list[tuple[str, bytes]] = []

    async def send() -> None:
        nonlocal longest_s, least_alike
        images = [data for _, data in batch]
        for place, data in zip((0, 5, 11, len(images)), good, strict=True):
            images.insert(place, data)
        began = time.monotonic()
        results = await embed(embedder, images)
        longest_s = max(longest_s, time.monotonic() - began)

        assert len(results) == len(images)
        neighbors = [results[images.index(data)] for data in good]
        for vector, own in zip(map(unit, neighbors), alone, strict=True):
            least_alike = min(least_alike, float(vector @ own))
            assert least_alike >= 0.9999
        broken = [r for r, data in zip(results, images, strict=True) if data not in good]
        for (name, _), result in zip(batch, broken, strict=True):
            if result.WhichOneof("outcome") == "error":
                assert result.error.code == code_pb2.INVALID_ARGUMENT, (name, result.error)
                assert reason(result.error).startswith("IMAGE_"), name
            else:
                assert np.linalg.norm(unit(result)) == pytest.approx(1, abs=1e-3), name

    for name, data in mutated(COUNT):
        batch.append((name, data))
        if len(batch) == BATCH:
            await send()
            batch.clear()
            most = max(most, memory(process))

    what = f"{COUNT} mutated images"
    report.add(Bar(f"{what}: longest call of {BATCH + 4}, s", longest_s, LONGEST_S, False))
    report.add(Bar(f"{what}: neighbors' cosine", least_alike, 0.9999))
    report.add(Bar(f"{what}: more memory, MB", (most - before) / 2**20, 512, False))
    assert process.is_running()
    assert most - before < MOST_MEMORY


@pytest.mark.parametrize("name", odd())
async def test_an_odd_image_is_embedded_or_refused_in_time(
    name: str, embedder: EmbedderServiceAsyncStub, process: psutil.Process
) -> None:
    good = a_picture(1, 300, "JPEG")
    own = unit((await embed(embedder, [good]))[0])
    before = memory(process)

    answer = asyncio.create_task(embed(embedder, [odd()[name], good]))
    most = 0
    while not answer.done():
        most = max(most, memory(process))
        await asyncio.sleep(0.05)
    result, neighbor = answer.result()

    if result.WhichOneof("outcome") == "error":
        assert result.error.code == code_pb2.INVALID_ARGUMENT
        assert reason(result.error).startswith("IMAGE_")
    assert unit(neighbor) @ own >= 0.9999
    assert most - before < MOST_MEMORY


async def test_every_sound_image_is_embedded(embedder: EmbedderServiceAsyncStub) -> None:
    for name, data in originals().items():
        (result,) = await embed(embedder, [data])

        assert result.WhichOneof("outcome") == "vector", name


async def test_the_gateway_refuses_them_one_by_one(
    images: ImageSearchServiceAsyncStub, new_index: str
) -> None:
    """On one stream with sound ones, which are all stored."""
    files = {**dict(mutated(60, seed=1)), **odd(), **{f"sound {n}": a_picture(n) for n in range(9)}}
    requests = [
        gateway_pb.IndexImagesRequest(
            request_id=name, index=new_index, image=gateway_pb.ImageUpload(content=data)
        )
        for name, data in files.items()
    ]

    answers = {
        answer.request_id: answer
        async for answer in images.IndexImages(each(requests), timeout=300)
    }

    assert answers.keys() == files.keys()
    for name, answer in answers.items():
        if answer.HasField("error"):
            assert not name.startswith("sound"), answer.error
            assert answer.error.code == code_pb2.INVALID_ARGUMENT, (name, answer.error)
            assert reason(answer.error).startswith("IMAGE_")


def test_mutated_images_are_the_same_every_time() -> None:
    assert dict(mutated(40)) == dict(mutated(40))
