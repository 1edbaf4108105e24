"""Prometheus metrics: a registry a service, served over HTTP on a port of its own.

Whoever has something to tell takes the service's registry and puts it there:

    Counter("imagesearch_…", "…", ("reason",), registry=registry)
    registry.register(collector)  # of prometheus_client.registry.Collector
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import structlog
from prometheus_client import (
    CollectorRegistry,
    Gauge,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from service_kit.server import StartError
from service_kit.workers import Workers

log = structlog.get_logger()


def new_registry(service: str) -> CollectorRegistry:
    """Makes a service's registry, with what every process has to tell: memory, CPU time, files.

    Args:
        service: Its name, e.g. "gateway".
    """
    # Else there is a second series for each counter, that nobody asks for.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    built = Gauge(
        "imagesearch_build_info",
        "Always 1; its labels say what runs.",
        ("service", "version"),
        registry=registry,
    )
    built.labels(service, _version()).set(1)
    return registry


def watch_workers(registry: CollectorRegistry, *pools: Workers) -> None:
    """Tells how many threads of each pool are busy, and how many callers wait for one."""
    labels = ("pool",)
    running = Gauge(
        "imagesearch_workers_running", "Threads that are busy.", labels, registry=registry
    )
    waiting = Gauge(
        "imagesearch_workers_waiting", "Callers that wait for a thread.", labels, registry=registry
    )
    threads = Gauge("imagesearch_workers_threads", "Threads there are.", labels, registry=registry)
    for pool in pools:
        running.labels(pool.name).set_function(partial(getattr, pool, "running"))
        waiting.labels(pool.name).set_function(partial(getattr, pool, "waiting"))
        threads.labels(pool.name).set(pool.threads)


@contextmanager
def serving_metrics(listen: str, registry: CollectorRegistry) -> Iterator[int | None]:
    """Serves metrics until the block ends; gives the port, None if `listen` is empty.

    Args:
        listen: Address as host:port. Port 0 takes a free one.
        registry: What to serve.

    Raises:
        StartError: The address cannot be bound.
    """
    if not listen:
        yield None
        return
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except (OSError, ValueError) as error:
        raise StartError(f"metrics cannot be served on {listen}: {error}") from error
    log.info("serving_metrics", address=listen, port=server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _version() -> str:
    try:
        return version("imagesearch")
    except PackageNotFoundError:  # run from its sources, as in the containers
        return "unknown"
