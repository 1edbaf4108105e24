"""What the gateway does, for Prometheus: its image store, fetches, images and results."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service_kit import tracing
from service_kit.errors import reason_of

_PREFIX = "imagesearch_gateway"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RESULTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

OK = "ok"
_FAILED = "failed"


class Metrics:
    """Counters, gauges and histograms.

    Args:
        registry: Gets them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._store = Histogram(
            f"{_PREFIX}_store_seconds",
            "Operations on files of the image store, by how they ended.",
            ("operation", "outcome"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._store_bytes = Counter(
            f"{_PREFIX}_store_bytes",
            "Bytes read from the image store, and given to it to write.",
            ("operation",),
            registry=registry,
        )
        self._fetches = Histogram(
            f"{_PREFIX}_fetch_seconds",
            'Images fetched by URL: "ok", or the reason that there is none.',
            ("outcome",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter(
            f"{_PREFIX}_images",
            'Images given to be stored: "created", "merged", "unchanged", or the reason that they '
            "were refused.",
            ("outcome",),
            registry=registry,
        )
        self._results = Histogram(
            f"{_PREFIX}_search_results",
            "Results in the answers of searches.",
            buckets=_RESULTS,
            registry=registry,
        )
        self._pending = Gauge(
            f"{_PREFIX}_pending_bytes",
            "Bytes of images that were read and not answered.",
            registry=registry,
        )
        for operation in ("read", "write", "delete", "list"):
            self._store.labels(operation, OK)
            self._store.labels(operation, _FAILED)

    @contextmanager
    def storing(self, operation: str, size: int = 0) -> Iterator[None]:
        """Measures an operation of the image store: "read", "write", "delete" or "list".

        Args:
            operation: Which.
            size: Bytes that are written.
        """
        began = time.perf_counter()
        outcome = _FAILED
        try:
            with tracing.span(f"store {operation}", {"imagesearch.bytes": size} if size else None):
                yield
            outcome = OK
            if size:
                self._store_bytes.labels(operation).inc(size)
        finally:
            self._store.labels(operation, outcome).observe(time.perf_counter() - began)

    def read(self, size: int) -> None:
        """Counts bytes that were read from the image store."""
        self._store_bytes.labels("read").inc(size)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Measures a fetch."""
        began = time.perf_counter()
        outcome = OK
        try:
            with tracing.span("fetch"):
                yield
        except BaseException as error:
            outcome = reason_of(error)
            raise
        finally:
            self._fetches.labels(outcome).observe(time.perf_counter() - began)

    def image(self, outcome: str) -> None:
        """Counts an image that was given to be stored."""
        self._images.labels(outcome).inc()

    def results(self, count: int) -> None:
        """Notes how many results a search has found."""
        self._results.observe(count)

    def pending(self, size: Callable[[], float]) -> None:
        """Says how to learn the bytes of images that were read and not answered."""
        self._pending.set_function(size)
