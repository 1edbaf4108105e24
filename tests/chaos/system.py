"""The three services as processes, each as often as wanted, with proxies on their links."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Self

from imagesearch_dev.elasticsearch.node import ElasticsearchNode
from service_kit.check_health import serving
from service_kit.health import LIVENESS
from tests import services_as_processes
from tests.chaos.proxy import Proxy
from tests.services_as_processes import SERVICES, START_S

ELASTICSEARCH = "elasticsearch"

LINKS = ("client-gateway", "gateway-embedder", "gateway-search", "search-elasticsearch")

_LINK_TO = {
    "gateway": "client-gateway",
    "embedder_service": "gateway-embedder",
    "search_service": "gateway-search",
}

_ENV = {
    "embedder_service": {
        "EMBEDDER_CACHE_BYTES": "0",  # every call is computed
        "EMBEDDER_LOG_LEVEL": "WARNING",
    },
    "search_service": {"SEARCH_LOG_LEVEL": "WARNING"},
    "gateway": {"GATEWAY_LOG_LEVEL": "WARNING"},
}


class Service(services_as_processes.Service):
    """One process of a service, that says little and remembers no vectors."""

    def __init__(
        self, name: str, log: Path, env: Mapping[str, str], address: str | None = None
    ) -> None:
        super().__init__(name, log, {**_ENV[name], **env}, address)

    async def start(self, *, wait: bool = True) -> None:
        """Starts it; waits until it answers, be it able to work or not."""
        self.process.start()
        if wait:
            await self.until_serving(LIVENESS)

    async def until_serving(self, name: str = "", timeout_s: float = START_S) -> None:
        """Waits until it says SERVING of a health name; "": all that it needs is there."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await asyncio.to_thread(serving, self.address, name):
                    assert self.process.exit_status() is None, self.process.last_lines()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(self.process.last_lines()) from None

    async def stop(self) -> int | None:
        """SIGTERM; gives the exit status."""
        await asyncio.to_thread(self.process.stop)
        return self.process.exit_status()


class System:
    """An Elasticsearch and the services before it. Use it as an async context manager.

    Args:
        folder: Of logs and of the image store.
        node: Started and stopped by whoever made it, or by name as a service is.
        replicas: Processes of each service. Several are behind round_robin.
        proxied: Whether links go through proxies.
        settings: More settings, by service.

    Attributes:
        services: By name.
        links: The proxies by link; empty if nothing is proxied.
        gateways: Where clients connect to, as a gRPC name.
    """

    def __init__(
        self,
        folder: Path,
        node: ElasticsearchNode,
        *,
        replicas: int = 1,
        proxied: bool = False,
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._node = node
        self._stack = AsyncExitStack()
        self.services: dict[str, list[Service]] = {}
        self.links: dict[str, list[Proxy]] = {}
        url = node.url
        if proxied:
            proxy = Proxy(url.removeprefix("http://"))
            self.links["search-elasticsearch"] = [proxy]
            url = f"http://{proxy.address}"
        env: dict[str, dict[str, str]] = {"embedder_service": {}}
        env["search_service"] = {"ELASTICSEARCH_URL": url}
        targets = {}
        for name in SERVICES:
            if name == "gateway":
                env[name] = {
                    "GATEWAY_EMBEDDER": targets["embedder_service"],
                    "GATEWAY_SEARCH": targets["search_service"],
                    "GATEWAY_STORE_URL": (folder / "store").as_uri(),
                }
            env[name].update((settings or {}).get(name, {}))
            self.services[name] = [
                Service(name, folder / f"{name}-{number}.log", env[name])
                for number in range(replicas)
            ]
            addresses = [service.address for service in self.services[name]]
            if proxied:
                proxies = [Proxy(address) for address in addresses]
                self.links[_LINK_TO[name]] = proxies
                addresses = [proxy.address for proxy in proxies]
            targets[name] = f"ipv4:{','.join(addresses)}"
        self.gateways = targets["gateway"]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for proxies in self.links.values():
                for proxy in proxies:
                    await stack.enter_async_context(proxy)
            stack.push_async_callback(self._stop_all)
            for service in self._all():
                await service.start(wait=False)
            await self.until_serving()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def until_serving(self) -> None:
        """Waits until every gateway says that the whole works."""
        for gateway in self.services["gateway"]:
            await gateway.until_serving()

    async def start(self, name: str, *, wait: bool = True) -> None:
        """Starts a service that is down, or Elasticsearch; waits until it answers."""
        if name == ELASTICSEARCH:
            await asyncio.to_thread(self._node.start, wait=wait)
        else:
            for service in self.services[name]:
                await service.start(wait=wait)

    async def stop(self, name: str) -> None:
        """Stops a service, or Elasticsearch, in good order."""
        if name == ELASTICSEARCH:
            await asyncio.to_thread(self._node.stop)
        else:
            for service in self.services[name]:
                await service.stop()

    async def kill(self, name: str) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        if name == ELASTICSEARCH:
            await asyncio.to_thread(self._node.kill)
        else:
            for service in self.services[name]:
                await asyncio.to_thread(service.process.kill)

    def address(self, name: str) -> str:
        """Where the first process of a service listens, with no proxy between."""
        return self.services[name][0].address

    def pid(self, name: str) -> int:
        """Process id of the first process of a service, or of Elasticsearch."""
        if name == ELASTICSEARCH:
            return self._node.pid
        return self.services[name][0].process.pid

    def frozen(self, name: str) -> AbstractContextManager[None]:
        """Freezes a process: connections stay open, nothing is answered."""
        if name == ELASTICSEARCH:
            return self._node.paused()
        return self.services[name][0].process.paused()

    def memory(self, name: str) -> int:
        """Bytes of memory that the first process of a service has; Linux only."""
        pages = int(Path(f"/proc/{self.pid(name)}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def logged(self, name: str, event: str) -> list[dict[str, Any]]:
        """What the first process of a service wrote of an event in its log."""
        lines = self.services[name][0].process.log.read_text().splitlines()
        objects = (json.loads(line) for line in lines if line.startswith("{"))
        return [each for each in objects if each.get("event") == event]

    def pids(self) -> dict[str, int]:
        """Process ids, by name and number; only of those that run."""
        pids = {
            f"{name} {number}": service.process.pid
            for name, services in self.services.items()
            for number, service in enumerate(services)
            if service.process.exit_status() is None
        }
        return {**pids, ELASTICSEARCH: self._node.pid}

    def mend(self) -> None:
        """Lifts every fault of every link."""
        for proxies in self.links.values():
            for proxy in proxies:
                proxy.mend()

    def _all(self) -> Iterator[Service]:
        for services in self.services.values():
            yield from services

    async def _stop_all(self) -> None:
        for service in reversed(list(self._all())):
            await service.stop()
