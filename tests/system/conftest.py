"""Everything as processes: once as an operator starts it, once as `make run` does."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagesearch_dev.elasticsearch.node import ElasticsearchNode, free_port
from imagesearch_dev.processes import Process
from service_kit.check_health import serving
from tests.conftest import HOMES, MEASURED
from tests.services_as_processes import START_S, Service


@dataclass
class System:
    """An Elasticsearch and the three services, each in a process that a test may kill.

    Attributes:
        elasticsearch: The node.
        services: By name.
    """

    elasticsearch: ElasticsearchNode
    services: Mapping[str, Service]

    @property
    def gateway(self) -> str:
        return self.services["gateway"].address

    def kill(self, name: str) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        self._process(name).kill()

    def start(self, name: str) -> None:
        self._process(name).start()

    def wait_until(self, is_serving: bool, timeout_s: float = START_S) -> None:
        """Waits until the gateway says that the whole does, or does not, work."""
        end = time.monotonic() + timeout_s
        while serving(self.gateway) != is_serving:
            ends = {name: each.process.last_lines() for name, each in self.services.items()}
            assert time.monotonic() < end, ends
            time.sleep(0.1)

    def _process(self, name: str) -> Process | ElasticsearchNode:
        return self.elasticsearch if name == "elasticsearch" else self.services[name].process


@pytest.fixture(scope="package")
def system(node: ElasticsearchNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    embedder = Service("embedder_service", folder / "embedder_service.log", {})
    search = Service(
        "search_service", folder / "search_service.log", {"ELASTICSEARCH_URL": node.url}
    )
    gateway = Service(
        "gateway",
        folder / "gateway.log",
        {
            "GATEWAY_EMBEDDER": embedder.address,
            "GATEWAY_SEARCH": search.address,
            "GATEWAY_STORE_URL": (folder / "store").as_uri(),
        },
    )
    parts = {"embedder_service": embedder, "search_service": search, "gateway": gateway}
    system = System(node, parts)
    try:
        for part in parts.values():
            part.process.start()
        system.wait_until(True)
        yield system
    finally:
        for part in parts.values():
            part.process.stop()


@dataclass
class Stack:
    """A running `make run`.

    Attributes:
        process: The program.
        gateway: Address.
        images: Folder of the sample pictures.
    """

    process: Process
    gateway: str
    images: Path

    @property
    def output(self) -> str:
        """What it has printed since it was started first."""
        return self.process.log.read_text() if self.process.log.exists() else ""

    def start(self) -> None:
        """Starts it, and waits until it says how to go on."""
        times = self.output.count("Logs:")
        self.process.start()
        end = time.monotonic() + 2 * START_S
        while self.output.count("Logs:") == times:
            assert self.process.exit_status() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.1)

    def press_ctrl_c(self) -> int | None:
        """Sends what a terminal does; gives the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        end = time.monotonic() + START_S
        while self.process.exit_status() is None and time.monotonic() < end:
            time.sleep(0.1)
        return self.process.exit_status()


def processes_with(mark: str) -> list[str]:
    """Command lines of running processes that contain a text; Linux only."""
    found = []
    for file in Path("/proc").glob("[0-9]*"):
        try:
            command = (file / "cmdline").read_bytes() + (file / "environ").read_bytes()
        except OSError:
            continue  # it has just ended, or is another user's
        if mark.encode() in command and int(file.name) != os.getpid():
            found.append(re.sub("\0", " ", command.decode(errors="replace"))[:200])
    return found


@pytest.fixture(scope="package")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack") / "run"
    folder.mkdir()
    HOMES.mkdir(parents=True, exist_ok=True)
    (folder / "elasticsearch").symlink_to(HOMES)
    return folder


@pytest.fixture(scope="package")
def stack(stack_folder: Path) -> Iterator[Stack]:
    port = free_port()
    arguments = [
        *(sys.executable, "-m", "imagesearch_dev.stack", "--model", "tiny"),
        *("--folder", str(stack_folder), "--port", str(port)),
    ]
    log = stack_folder.parent / "output.log"
    process = Process("stack", arguments, log=log, env={"ELASTICSEARCH_URL": "", **MEASURED})
    running = Stack(process, f"127.0.0.1:{port}", stack_folder / "samples")
    try:
        running.start()
        yield running
    finally:
        if process.exit_status() is None:
            running.press_ctrl_c()
