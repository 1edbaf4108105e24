"""Each part killed in the middle of work: the others live on, and callers see what they may."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.report import Bar, Report
from imagesearch_client import AsyncClient
from tests.chaos import FULL, SHARE
from tests.chaos.system import ELASTICSEARCH, System
from tests.chaos.traffic import Questions, closed_loop, traffic
from tests.services_as_processes import SERVICES

TIMES = 10 if FULL else 1
WELL_AGAIN_S = 30.0

pytestmark = pytest.mark.timeout(1_800 if FULL else 120)


@pytest.mark.parametrize("victim", [*SERVICES, ELASTICSEARCH])
async def test_a_kill(
    system: System,
    client: AsyncClient,
    questions: Questions,
    capacity: float,
    report: Report,
    victim: str,
) -> None:
    others = {name: pid for name, pid in system.pids().items() if not name.startswith(victim)}
    strange = 0
    recovered = []
    for _ in range(TIMES):
        async with traffic(client, questions, SHARE * capacity, 5.0) as outcomes:
            await asyncio.sleep(0.5)
            await system.kill(victim)
            await asyncio.sleep(0.5)
            await system.start(victim)
            await system.until_serving()
        strange += outcomes.strange
        assert not outcomes.strange, outcomes
        assert outcomes.right
        await questions.until_right(client, WELL_AGAIN_S)
        if FULL:
            windows = [await closed_loop(client, questions, 2.0) for _ in range(5)]
            recovered.append(max(windows) / capacity)

    report.add(Bar(f"{victim} killed {TIMES}x: strange ends of calls", strange, 0, False))
    still = system.pids()
    gone = sum(still.get(name) != pid for name, pid in others.items())
    report.add(Bar(f"{victim} killed {TIMES}x: others that ended", gone, 0, False))
    assert not gone, (others, still)
    if FULL:
        least = min(recovered)
        report.add(Bar(f"{victim} killed {TIMES}x: share of C 10 s later", least, 0.95))
        assert least >= 0.95
