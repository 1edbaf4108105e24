"""Three times as many searches as can be answered: as many are answered as before, at once or not.

The generator is a process of its own, but shares the machine with the services.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from service_kit.client import channel
from tests.chaos import FULL
from tests.chaos.generator import Load, generate
from tests.chaos.loaded import Loaded
from tests.helpers import a_picture

WAVES, WAVE_S = (6, 20.0) if FULL else (2, 4.0)
PAUSE_S = 2.0

CALLERS = 32
MAX_CALLS = 64
"""Places of the gateway; see conftest."""


@dataclass
class Health:
    """Answers of a health check that asks all the time."""

    serving: int = 0
    wrong: int = 0
    longest_s: float = 0.0

    async def watch(self, address: str) -> None:
        async with channel(address) as opened:
            stub = health_pb2_grpc.HealthStub(opened)
            while True:
                began = time.monotonic()
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    self.serving += 1
                else:
                    self.wrong += 1
                await asyncio.sleep(0.1)


async def store(address: str, index: str) -> None:
    async with channel(address) as opened:
        images = pb_grpc.ImageSearchServiceStub(opened)
        for n in range(20):
            upload = pb.ImageUpload(content=a_picture(n))
            await images.IndexImage(pb.IndexImageRequest(index=index, image=upload), timeout=30)


@pytest.mark.timeout(600 if FULL else 120)
async def test_what_can_be_answered_is_answered_and_the_rest_refused_at_once(
    loaded: Loaded, new_index: str
) -> None:
    gateway = loaded.addresses["gateway"]
    await store(gateway, new_index)
    await generate(gateway, new_index, callers=CALLERS, seconds=WAVE_S / 4)  # warms up
    alone = await generate(gateway, new_index, callers=CALLERS, seconds=WAVE_S)
    assert set(alone.codes) == {"OK"}

    health = Health()
    watching = asyncio.create_task(health.watch(gateway))
    waves: list[Load] = []
    for _ in range(WAVES):
        rate = 3 * alone.goodput
        waves.append(await generate(gateway, new_index, rate=rate, seconds=WAVE_S))
        await asyncio.sleep(PAUSE_S)
    assert not watching.done()
    watching.cancel()

    report(alone, waves, health)
    for wave in waves:
        # Everything ends in one of two ways, and both are soon.
        assert set(wave.codes) <= {"OK", "RESOURCE_EXHAUSTED"}, wave.codes
        assert wave.codes.get("OK", 0) > 0
        assert wave.without_retry == 0
        if FULL:
            assert wave.goodput >= 0.85 * alone.goodput
            assert np.percentile(wave.refused_s, 99) <= 0.05
    assert sum(wave.codes.get("RESOURCE_EXHAUSTED", 0) for wave in waves) > 0
    noted = loaded.logged("gateway", "overloaded")
    assert noted
    assert max(line["peak_calls"] for line in noted) <= MAX_CALLS
    assert health.serving > 0
    assert health.wrong == 0
    after = await generate(gateway, new_index, callers=4, seconds=1.0)
    assert set(after.codes) == {"OK"}


def report(alone: Load, waves: list[Load], health: Health) -> None:
    print(f"\ncapacity {alone.goodput:.0f}/s, health at most {health.longest_s * 1000:.0f} ms")
    for wave in waves:
        refused = np.percentile(wave.refused_s, [50, 99]) if wave.refused_s else np.zeros(2)
        answered = np.percentile(wave.answered_s, [50, 99])
        print(
            f"offered {wave.sent / wave.seconds:.0f}/s"
            f" goodput {wave.goodput / alone.goodput:.2f} C"
            f" answers p50/p99 {answered[0] * 1000:.0f}/{answered[1] * 1000:.0f} ms"
            f" refusals p50/p99 {refused[0] * 1000:.1f}/{refused[1] * 1000:.1f} ms {wave.codes}"
        )
