"""Long work: memory and open files stay where they are."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field

import psutil
import pytest

from benchmarks.report import Bar, Report
from imagesearch_client import AsyncClient
from tests.chaos import FULL, SHARE
from tests.chaos.system import System
from tests.chaos.traffic import Questions, traffic

SECONDS = 1_800.0 if FULL else 10.0
WARM_UP_S = 300.0 if FULL else 2.0
EVERY_S = 5.0 if FULL else 0.5

pytestmark = pytest.mark.timeout(SECONDS + 300)


@dataclass
class Samples:
    """What a process used, over time.

    Attributes:
        at: Seconds since the start.
        bytes: Resident.
        files: Open descriptors.
    """

    at: list[float] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def growth(self) -> float:
        """Percent of memory in ten minutes, by the line through all samples."""
        slope = statistics.linear_regression(self.at, self.bytes).slope
        return slope * 600 / statistics.mean(self.bytes) * 100

    def more_files(self) -> float:
        """Descriptors at the end more than in the beginning; medians, for they come and go."""
        third = max(1, len(self.files) // 3)
        return statistics.median(self.files[-third:]) - statistics.median(self.files[:third])


async def test_memory_and_files_stay_where_they_are(
    system: System, client: AsyncClient, questions: Questions, capacity: float, report: Report
) -> None:
    processes = {name: psutil.Process(pid) for name, pid in system.pids().items()}
    samples = {name: Samples() for name in processes}
    began = time.monotonic()
    async with traffic(client, questions, SHARE * capacity, 20.0) as outcomes:
        await asyncio.sleep(WARM_UP_S)
        while (at := time.monotonic() - began) < SECONDS:
            for name, process in processes.items():
                samples[name].at.append(at)
                samples[name].bytes.append(process.memory_info().rss)
                samples[name].files.append(process.num_fds())
            await asyncio.sleep(EVERY_S)

    strange = outcomes.strange
    report.add(Bar(f"{SECONDS:.0f} s of work: strange ends of calls", strange, 0, False))
    for name, taken in samples.items():
        more = taken.more_files()
        report.add(Bar(f"{SECONDS:.0f} s of work: more descriptors of {name}", more, 2, False))
        if FULL:
            bar = f"{SECONDS:.0f} s of work: growth of {name}, % in 10 min"
            report.add(Bar(bar, taken.growth(), 1, False))
    assert not strange, outcomes
    assert outcomes.right > outcomes.failed
    for name, taken in samples.items():
        assert taken.more_files() <= (2 if FULL else 20), (name, taken.files)
        if FULL:
            assert taken.growth() <= 1, name
        else:
            assert max(taken.bytes) < 2 * taken.bytes[0], (name, taken.bytes)
