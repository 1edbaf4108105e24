"""One Elasticsearch that may be killed, and the services before it, as each test wants them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.report import Report
from imagesearch_client import AsyncClient
from imagesearch_dev.elasticsearch.node import ElasticsearchNode
from tests.chaos import FULL, MAX_CALLS
from tests.chaos.system import System
from tests.chaos.traffic import Questions, closed_loop

_REPORT = Report("chaos", quick=not FULL)

_MEASURE_S = 15.0 if FULL else 2.0


@pytest.fixture(scope="session")
def report() -> Report:
    """What was asked for, and what was found; CHAOS_JSON names a file for it."""
    return _REPORT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _REPORT.bars:
        return
    terminalreporter.section("chaos")
    for bar in _REPORT.bars:
        value = "-" if bar.value is None else f"{bar.value:.3f}"
        sign = ">=" if bar.at_least else "<="
        verdict = {True: "holds", False: "MISSED", None: "not measured"}[bar.holds]
        line = f"{bar.name:<72} {value:>9} {sign} {bar.bound:<7g} {verdict} {bar.note}"
        terminalreporter.write_line(line)
    if file := os.environ.get("CHAOS_JSON"):
        _REPORT.write(Path(file))


@pytest.fixture(scope="package")
async def loaded(
    node: ElasticsearchNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """One of each: the gateway with few places, the embedder with room for large pictures."""
    settings = {
        "gateway": {"GATEWAY_MAX_CALLS": str(MAX_CALLS)},
        "embedder_service": {"EMBEDDER_MAX_REQUEST_PIXELS": "4000000000"},
    }
    async with System(tmp_path_factory.mktemp("loaded"), node, settings=settings) as loaded:
        yield loaded


@pytest.fixture(scope="package")
async def the_system(
    node: ElasticsearchNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with System(tmp_path_factory.mktemp("system"), node, proxied=True) as system:
        yield system


@pytest.fixture
async def system(the_system: System) -> AsyncIterator[System]:
    """One of each, with proxies on all links; well when a test begins."""
    yield the_system
    the_system.mend()
    await the_system.until_serving()


@pytest.fixture(scope="package")
async def client(the_system: System) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(the_system.gateways) as client:
        yield client


@pytest.fixture(scope="package")
async def questions(client: AsyncClient) -> Questions:
    questions = Questions()
    await questions.learn(client)
    return questions


@pytest.fixture(scope="package")
async def capacity(client: AsyncClient, questions: Questions, report: Report) -> float:
    """Searches a second that the system can answer while it is well, C."""
    await closed_loop(client, questions, _MEASURE_S / 2)  # warms up
    found = await closed_loop(client, questions, _MEASURE_S)
    report.note("C, searches a second", found)
    return found
