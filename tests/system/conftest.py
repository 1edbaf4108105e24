"""Everything as processes: once as an operator starts it, once as `make run` does."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imagesearch_dev import models
from imagesearch_dev.elasticsearch.node import ElasticsearchNode, free_port
from imagesearch_dev.processes import Process
from service_kit.check_health import serving
from tests.conftest import HOMES

START_S = 60


@dataclass
class System:
    """An Elasticsearch and the three services, each in a process that a test may kill.

    Attributes:
        elasticsearch: The node.
        addresses: Of the services, by name.
        processes: The services, by name.
    """

    elasticsearch: ElasticsearchNode
    addresses: Mapping[str, str]
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def gateway(self) -> str:
        return self.addresses["gateway"]

    def kill(self, name: str) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        target = self.elasticsearch if name == "elasticsearch" else self.processes[name]
        target.kill()

    def start(self, name: str) -> None:
        target = self.elasticsearch if name == "elasticsearch" else self.processes[name]
        target.start()

    def wait_until(self, is_serving: bool, timeout_s: float = START_S) -> None:
        """Waits until the gateway says that the whole does, or does not, work."""
        end = time.monotonic() + timeout_s
        while serving(self.gateway) != is_serving:
            assert time.monotonic() < end, {n: p.last_lines() for n, p in self.processes.items()}
            time.sleep(0.1)


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    node = ElasticsearchNode(folder / "elasticsearch", HOMES)
    names = ("embedder_service", "search_service", "gateway")
    addresses = {name: f"127.0.0.1:{free_port()}" for name in names}
    env = {
        "embedder_service": {
            "EMBEDDER_LISTEN": addresses["embedder_service"],
            "EMBEDDER_IMAGE_MODEL": models.TINY.image,
            "EMBEDDER_TEXT_MODEL": models.TINY.text,
        },
        "search_service": {
            "SEARCH_LISTEN": addresses["search_service"],
            "ELASTICSEARCH_URL": node.url,
        },
        "gateway": {
            "GATEWAY_LISTEN": addresses["gateway"],
            "GATEWAY_EMBEDDER": addresses["embedder_service"],
            "GATEWAY_SEARCH": addresses["search_service"],
            "GATEWAY_STORE_URL": (folder / "store").as_uri(),
        },
    }
    system = System(node, addresses)
    for name in names:
        log = folder / f"{name}.log"
        arguments = (sys.executable, "-m", name)
        system.processes[name] = Process(name, arguments, log=log, env=env[name])
    try:
        for process in system.processes.values():
            process.start()
        node.start()
        system.wait_until(True)
        yield system
    finally:
        for process in system.processes.values():
            process.stop()
        node.stop()


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
    process = Process("stack", arguments, log=log, env={"ELASTICSEARCH_URL": ""})
    running = Stack(process, f"127.0.0.1:{port}", stack_folder / "samples")
    try:
        running.start()
        yield running
    finally:
        if process.exit_status() is None:
            running.press_ctrl_c()
