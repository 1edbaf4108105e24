"""Whatever starts before whatever it needs: in the end all works, and nothing gave up."""

from __future__ import annotations

import asyncio
from itertools import permutations

import pytest

from benchmarks.report import Bar, Report
from imagesearch_client import AsyncClient
from tests.chaos import FULL
from tests.chaos.system import ELASTICSEARCH, System
from tests.chaos.traffic import Questions
from tests.services_as_processes import SERVICES

ORDERS = [
    ("gateway", "search_service", "embedder_service", "elasticsearch"),
    ("search_service", "gateway", "elasticsearch", "embedder_service"),
]
if FULL:
    ORDERS = list(permutations((*SERVICES, ELASTICSEARCH)))

WELL_AGAIN_S = 30.0

pytestmark = pytest.mark.timeout(300 if FULL else 120)


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
async def test_any_order(
    system: System,
    client: AsyncClient,
    questions: Questions,
    report: Report,
    order: tuple[str, ...],
) -> None:
    for name in order:
        await system.stop(name)

    for name in order:
        # At its full size each has found out that what it needs is away before that starts.
        await system.start(name, wait=FULL)
        await asyncio.sleep(2.0 if FULL else 0.5)
    await system.until_serving()
    took_s = await questions.until_right(client, WELL_AGAIN_S)

    report.add(Bar(f"started {' '.join(order)}: right after, s", took_s, WELL_AGAIN_S, False))
    assert len(system.pids()) == len(order)
