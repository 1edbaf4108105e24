"""Each fault of a network on each link: no hang, no wrong answer, and all is well afterwards."""

from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.report import Bar, Report
from imagesearch_client import AsyncClient
from tests.chaos import FULL
from tests.chaos.proxy import Fault
from tests.chaos.system import LINKS, System
from tests.chaos.traffic import Outcomes, Questions, burst

CALLS = 200 if FULL else 16
DEADLINE_S = 1.0
MARGIN_S = 1.0
"""What a call may take beyond its deadline: this machine may be busy, and a hang is longer."""

WELL_AGAIN_S = 20.0

FAULTS = {
    "latency": Fault(latency_s=0.03),
    "jitter": Fault(latency_s=0.01, jitter_s=0.05),
    "bandwidth": Fault(bandwidth=100_000),
    "slices": Fault(slice_bytes=64, slice_pause_s=0.0005),
    "black-hole": Fault(black_hole=True),
    "reset": Fault(reset=True),
    "limit": Fault(limit_bytes=3_000),
    "slow-close": Fault(limit_bytes=3_000, slow_close_s=0.3),
}

pytestmark = pytest.mark.timeout(1_200 if FULL else 120)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("link", LINKS)
async def test_a_fault_of_a_link(
    system: System,
    client: AsyncClient,
    questions: Questions,
    report: Report,
    link: str,
    fault: str,
) -> None:
    (proxy,) = system.links[link]
    running = system.pids()

    proxy.break_(FAULTS[fault])
    outcomes = await burst(client, questions, CALLS, 16, DEADLINE_S)
    proxy.mend()
    took_s = await questions.until_right(client, WELL_AGAIN_S)

    name = f"{fault} on {link}"
    report.add(Bar(f"{name}: wrong answers and strange statuses", outcomes.strange, 0, False))
    report.add(Bar(f"{name}: longest call, s", outcomes.longest_s, DEADLINE_S + MARGIN_S, False))
    report.add(Bar(f"{name}: well again after, s", took_s, WELL_AGAIN_S, False))
    assert not outcomes.strange, outcomes
    assert outcomes.longest_s < DEADLINE_S + MARGIN_S
    assert system.pids() == running


# Half a minute each, but for Elasticsearch, whose client has timeouts instead of pings.
@pytest.mark.parametrize("link", LINKS if FULL else LINKS[-1:])
async def test_a_connection_that_died_without_a_word_is_replaced(
    system: System, client: AsyncClient, questions: Questions, report: Report, link: str
) -> None:
    """Nothing but a ping that stays without an answer, or a timeout, can tell."""
    await questions.until_right(client, WELL_AGAIN_S)
    (proxy,) = system.links[link]
    proxy.abandon()

    began = time.monotonic()
    outcomes = Outcomes()
    while not outcomes.right and time.monotonic() < began + 60:
        outcomes = await burst(client, questions, 8, 8, DEADLINE_S)
        assert not outcomes.strange, outcomes
        await asyncio.sleep(0.1)
    took_s = time.monotonic() - began

    report.add(Bar(f"dead connection on {link}: replaced after, s", took_s, 40, False))
    assert took_s < 40
    await questions.until_right(client, WELL_AGAIN_S)
