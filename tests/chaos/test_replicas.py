"""Replicas behind a name: those that join are found, those that leave are left in time."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from benchmarks.report import Bar, Report
from imagesearch_client import AsyncClient
from imagesearch_dev.elasticsearch.node import ElasticsearchNode, free_port
from tests.chaos import FULL
from tests.chaos.names import Names
from tests.chaos.system import Service, System
from tests.chaos.traffic import Questions, traffic
from tests.services_as_processes import PREFIX, SERVICES

FIRST, SECOND = "127.0.0.2", "127.0.0.3"

FOUND_S = 30.0

_CALL = '"event": "call"'

pytestmark = pytest.mark.timeout(180)


def has_addresses_of_its_own() -> bool:
    """Whether all of 127/8 is this machine, as on Linux."""
    with socket.socket() as made:
        try:
            made.bind((SECOND, 0))
        except OSError:
            return False
    return True


def calls_of(service: Service) -> int:
    """Calls that it has logged so far."""
    return service.process.log.read_text().count(_CALL)


@pytest.mark.skipif(not has_addresses_of_its_own(), reason="127.0.0.3 is no address here")
@pytest.mark.parametrize("name", SERVICES if FULL else ("search_service", "gateway"))
async def test_a_replica_joins_and_another_leaves_without_a_failed_call(
    system: System,
    node: ElasticsearchNode,
    questions: Questions,
    report: Report,
    tmp_path: Path,
    name: str,
) -> None:
    """As behind a headless service of Kubernetes: the name server knows before the replica goes."""
    prefix = PREFIX[name]
    port = free_port()
    env = {
        "ELASTICSEARCH_URL": node.url,
        "GATEWAY_EMBEDDER": system.services["embedder_service"][0].address,
        "GATEWAY_SEARCH": system.services["search_service"][0].address,
        "GATEWAY_STORE_URL": (tmp_path / "store").as_uri(),
        f"{prefix}_MAX_CONNECTION_AGE_S": "2",
        f"{prefix}_LOG_LEVEL": "INFO",
    }
    first, second = (
        Service(name, tmp_path / f"{host}.log", env, f"{host}:{port}") for host in (FIRST, SECOND)
    )
    async with Names([FIRST]) as names:
        target = f"dns://{names.address}/replicas.test:{port}"
        if name != "gateway":
            env[{"embedder_service": "GATEWAY_EMBEDDER"}.get(name, "GATEWAY_SEARCH")] = target
        gateway = Service("gateway", tmp_path / "gateway.log", env)
        started = [first] if name == "gateway" else [first, gateway]
        try:
            for service in started:
                await service.start()
                await service.until_serving()
            address = target if name == "gateway" else gateway.address
            async with (
                AsyncClient(address) as client,
                traffic(client, questions, 10.0, 20.0) as outcomes,
            ):
                await asyncio.sleep(1.0)
                await second.start()
                await second.until_serving()
                names.addresses = [FIRST, SECOND]
                joined_s = await until_it_has_calls(second)
                names.addresses = [SECOND]
                await asyncio.sleep(1.0)
                assert await first.stop() == 0
                await asyncio.sleep(1.0)
        finally:
            for service in (gateway, first, second):
                await service.stop()

    failed = outcomes.failed + len(outcomes.wrong)
    what = f"a {name} joins and another leaves"
    report.add(Bar(f"{what}: failed calls", failed, 0, False))
    report.add(Bar(f"{what}: found after, s", joined_s, FOUND_S, False))
    assert not failed, outcomes
    assert outcomes.right


async def until_it_has_calls(service: Service) -> float:
    """Waits until calls come to a replica; seconds it took."""
    began = time.monotonic()
    while not await asyncio.to_thread(calls_of, service):
        assert time.monotonic() < began + FOUND_S, "nobody has found it"
        await asyncio.sleep(0.1)
    return time.monotonic() - began
