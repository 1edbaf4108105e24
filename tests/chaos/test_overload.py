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

from benchmarks.report import Bar, Report
from service_kit.client import channel
from tests.chaos import FULL, MAX_CALLS
from tests.chaos.generator import Load, generate
from tests.chaos.system import System
from tests.helpers import a_picture

WAVES, WAVE_S = (6, 20.0) if FULL else (2, 4.0)
PAUSE_S = 2.0

CALLERS = 32


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
    loaded: System, new_index: str, report: Report
) -> None:
    gateway = loaded.address("gateway")
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

    print_waves(alone, waves, health)
    least = min(wave.goodput for wave in waves) / alone.goodput
    slowest_s = max(float(np.percentile(wave.refused_s, 99)) for wave in waves if wave.refused_s)
    peak = max(line["peak_calls"] for line in loaded.logged("gateway", "overloaded"))
    report.add(Bar("asked for 3 C: goodput of the worst wave / C", least, 0.85))
    report.add(Bar("asked for 3 C: refusals' p99 of the worst wave, s", slowest_s, 0.05, False))
    report.add(Bar("asked for 3 C: most calls at once", peak, MAX_CALLS, False))
    report.add(Bar("asked for 3 C: health checks not SERVING", health.wrong, 0, False))
    for wave in waves:
        # Everything ends in one of two ways, and both are soon.
        assert set(wave.codes) <= {"OK", "RESOURCE_EXHAUSTED"}, wave.codes
        assert wave.codes.get("OK", 0) > 0
        assert wave.without_retry == 0
    if FULL:
        assert least >= 0.85
        assert slowest_s <= 0.05
    assert peak <= MAX_CALLS
    assert health.serving > 0
    assert health.wrong == 0
    after = await generate(gateway, new_index, callers=4, seconds=1.0)
    assert set(after.codes) == {"OK"}


def print_waves(alone: Load, waves: list[Load], health: Health) -> None:
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
