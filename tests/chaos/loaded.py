"""One of each service as a process, on ports of their own, to be overloaded and frozen."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagesearch_dev import models
from imagesearch_dev.elasticsearch.node import ElasticsearchNode, free_port
from imagesearch_dev.processes import Process
from service_kit.check_health import serving

SERVICES = ("embedder_service", "search_service", "gateway")

START_S = 90.0


class Loaded:
    """An Elasticsearch and the three services. Use it as a context manager.

    Args:
        folder: Of logs and of the image store.
        node: Started and stopped by whoever made it.
        env: More settings, by service.

    Attributes:
        addresses: By service.
        node: The same.
    """

    def __init__(
        self, folder: Path, node: ElasticsearchNode, env: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.node = node
        self.addresses = {name: f"127.0.0.1:{free_port()}" for name in SERVICES}
        own = {
            "embedder_service": {
                "EMBEDDER_LISTEN": self.addresses["embedder_service"],
                "EMBEDDER_IMAGE_MODEL": models.TINY.image,
                "EMBEDDER_TEXT_MODEL": models.TINY.text,
                # A start without measurements, and every call computed.
                "EMBEDDER_BACKEND": "torch",
                "EMBEDDER_DTYPE": "float32",
                "EMBEDDER_MAX_BATCH": "8",
                "EMBEDDER_CACHE_BYTES": "0",
            },
            "search_service": {
                "SEARCH_LISTEN": self.addresses["search_service"],
                "ELASTICSEARCH_URL": node.url,
            },
            "gateway": {
                "GATEWAY_LISTEN": self.addresses["gateway"],
                "GATEWAY_EMBEDDER": self.addresses["embedder_service"],
                "GATEWAY_SEARCH": self.addresses["search_service"],
                "GATEWAY_STORE_URL": (folder / "store").as_uri(),
            },
        }
        self._processes = {
            name: Process(
                name,
                (sys.executable, "-m", name),
                log=folder / f"{name}.log",
                env={**own[name], **env.get(name, {})},
            )
            for name in SERVICES
        }

    def __enter__(self) -> Loaded:
        for process in self._processes.values():
            process.start()
        self.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes.values():
            process.stop()

    def pid(self, name: str) -> int:
        """Process id of a service, or of "elasticsearch"."""
        return self.node.pid if name == "elasticsearch" else self._processes[name].pid

    def wait(self) -> None:
        """Waits until the gateway says that the whole works."""
        end = time.monotonic() + START_S
        while not serving(self.addresses["gateway"]):
            lines = {name: process.last_lines() for name, process in self._processes.items()}
            assert time.monotonic() < end, lines
            time.sleep(0.1)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Freezes a service, or "elasticsearch": connections stay open, nothing is answered."""
        os.kill(self.pid(name), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(name), signal.SIGCONT)

    def memory(self, name: str) -> int:
        """Bytes of memory that a service has; Linux only."""
        pages = int(Path(f"/proc/{self.pid(name)}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def logged(self, name: str, event: str) -> list[dict[str, Any]]:
        """What a service wrote of an event in its log."""
        lines = self._processes[name].log.read_text().splitlines()
        objects = (json.loads(line) for line in lines if line.startswith("{"))
        return [each for each in objects if each.get("event") == event]
