"""Servers in processes of their own, for benchmarks to call."""

import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from imagesearch_dev.elasticsearch.assemble import VERSION
from imagesearch_dev.elasticsearch.node import ElasticsearchNode, full_jdk
from imagesearch_dev.processes import Process
from service_kit.client import channel

LATEST = "9.5.3"
"""What is measured where there is a JDK for it: it takes vectors as base64."""

HOMES = Path(".imagesearch") / "elasticsearch"

_START_S = 180.0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


@asynccontextmanager
async def serving_embedder(
    image_model: Path, text_model: Path, dtype: str
) -> AsyncIterator[tuple[str, int]]:
    """Runs an embedder without a cache; gives its address and process id."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        process = Process(
            "embedder",
            [sys.executable, "-m", "embedder_service"],
            log=Path(folder) / "embedder.log",
            env={
                "EMBEDDER_LISTEN": address,
                "EMBEDDER_IMAGE_MODEL": str(image_model),
                "EMBEDDER_TEXT_MODEL": str(text_model),
                "EMBEDDER_DTYPE": dtype,
                "EMBEDDER_CACHE_BYTES": "0",
                "EMBEDDER_LOG_LEVEL": "WARNING",
            },
        )
        process.start()
        try:
            await serving(address, process)
            yield address, process.pid
        finally:
            process.stop()


@contextmanager
def elasticsearch(heap: str) -> Iterator[str]:
    """Runs a node of the latest version that runs here, with empty data; gives its URL."""
    jdk = full_jdk()
    version = LATEST if jdk else VERSION
    with tempfile.TemporaryDirectory() as folder:
        print(f"Elasticsearch {version}")
        with ElasticsearchNode(
            Path(folder) / "data", HOMES, version=version, heap=heap, java_home=jdk
        ) as node:
            yield node.url


@asynccontextmanager
async def serving_search(url: str) -> AsyncIterator[str]:
    """Runs a search_service on an Elasticsearch; gives its address."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        process = Process(
            "search",
            [sys.executable, "-m", "search_service"],
            log=Path(folder) / "search.log",
            env={
                "SEARCH_LISTEN": address,
                "ELASTICSEARCH_URL": url,
                "SEARCH_LOG_LEVEL": "WARNING",
            },
        )
        process.start()
        try:
            await serving(address, process)
            yield address
        finally:
            process.stop()


@asynccontextmanager
async def serving_gateway(
    embedder: str, search: str, folder: Path
) -> AsyncIterator[tuple[str, Process]]:
    """Runs a gateway that keeps images in a folder; gives its address, and itself to be killed."""
    address = f"127.0.0.1:{free_port()}"
    process = Process(
        "gateway",
        [sys.executable, "-m", "gateway"],
        log=folder / "gateway.log",
        env={
            "GATEWAY_LISTEN": address,
            "GATEWAY_EMBEDDER": embedder,
            "GATEWAY_SEARCH": search,
            "GATEWAY_STORE_URL": (folder / "store").absolute().as_uri(),
            "GATEWAY_LOG_LEVEL": "WARNING",
        },
    )
    process.start()
    try:
        await serving(address, process)
        yield address, process
    finally:
        process.stop()


@asynccontextmanager
async def serving_stub(what: str) -> AsyncIterator[tuple[str, int]]:
    """Runs a server of `benchmarks.stubs`; gives its address and process id."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        arguments = [sys.executable, "-m", "benchmarks.stubs", what, address]
        process = Process(f"stub {what}", arguments, log=Path(folder) / "stub.log", env={})
        process.start()
        try:
            await serving(address, process)
            yield address, process.pid
        finally:
            process.stop()


async def serving(address: str, process: Process) -> None:
    """Waits until a process serves; ends the benchmark if it does not come to that."""
    end = time.monotonic() + _START_S
    async with channel(address) as opened:
        stub = health_pb2_grpc.HealthStub(opened)
        while True:
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass
            if process.exit_status() is not None or time.monotonic() > end:
                raise SystemExit(f"the service did not start:\n{process.log.read_text()}")
            await asyncio.sleep(0.2)
