"""Prometheus metrics over HTTP, on a port of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, start_http_server

from service_kit.server import StartError

log = structlog.get_logger()


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
