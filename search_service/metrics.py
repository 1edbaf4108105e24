"""What the service does, for Prometheus, by index and operation."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX = "imagesearch_search"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COUNTS = (1, 5, 10, 50, 100, 250, 500, 1000)

RETRIES = Counter(
    f"{_PREFIX}_elasticsearch_retries",
    "Pauses before Elasticsearch was asked again, because it was overloaded or not ready.",
    registry=None,
)
"""Of the process: whoever waits has no call, and no service, in hand."""


class Metrics:
    """Counters, gauges and histograms. Only indexes that exist become labels.

    Args:
        registry: Gets them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._operations = Histogram(
            f"{_PREFIX}_operation_seconds",
            "Operations on an index, those that failed too.",
            ("operation", "index"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._failed = Counter(
            f"{_PREFIX}_operations_failed",
            "Operations on an index that failed.",
            ("operation", "index"),
            registry=registry,
        )
        self._took = Histogram(
            f"{_PREFIX}_elasticsearch_search_seconds",
            "Time that Elasticsearch says a search took.",
            ("index",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._documents = Counter(
            f"{_PREFIX}_documents",
            "Documents that were stored or refused.",
            ("index", "outcome"),
            registry=registry,
        )
        self._bulk_documents = Histogram(
            f"{_PREFIX}_bulk_documents",
            "Documents written together.",
            ("index",),
            buckets=_COUNTS,
            registry=registry,
        )
        self._bulk_seconds = Histogram(
            f"{_PREFIX}_bulk_seconds",
            "Time until documents written together were all stored or refused.",
            ("index",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            f"{_PREFIX}_refused_documents",
            "Documents that were not stored, by the reason that their sender was told.",
            ("reason",),
            registry=registry,
        )
        self._refused.labels("INDEX_BLOCKED")  # an alert waits for its first one
        self._requests = Histogram(
            f"{_PREFIX}_elasticsearch_request_seconds",
            "Requests to Elasticsearch, by the end of their path and HTTP status; of those without "
            'an answer the status is "none".',
            ("endpoint", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._up = Gauge(
            f"{_PREFIX}_elasticsearch_up",
            "1 if Elasticsearch answered when it was last looked after.",
            registry=registry,
        )
        registry.register(RETRIES)
        self._pending = Gauge(
            f"{_PREFIX}_pending_bytes",
            "Bytes of documents that were read and not answered.",
            registry=registry,
        )
        self._recall = Gauge(
            f"{_PREFIX}_recall",
            "Recall as MeasureRecall last found it.",
            ("index", "num_candidates"),
            registry=registry,
        )

    @contextmanager
    def operation(self, name: str, index: str) -> Iterator[None]:
        """Measures what is done with an index."""
        began = time.perf_counter()
        try:
            yield
        except BaseException:
            self._failed.labels(name, index).inc()
            raise
        finally:
            self._operations.labels(name, index).observe(time.perf_counter() - began)

    def took(self, index: str, milliseconds: float) -> None:
        """Notes how long Elasticsearch took for a search."""
        self._took.labels(index).observe(milliseconds / 1000)

    def document(self, index: str, outcome: str) -> None:
        """Counts a document: "created", "merged", "unchanged" or "refused"."""
        self._documents.labels(index, outcome).inc()

    def refused(self, reason: str) -> None:
        """Counts a document that was refused."""
        self._refused.labels(reason).inc()

    def request(self, endpoint: str, status: str, seconds: float) -> None:
        """Notes a request to Elasticsearch."""
        self._requests.labels(endpoint, status).observe(seconds)

    def up(self, answers: bool) -> None:
        """Says whether Elasticsearch answers."""
        self._up.set(answers)

    def bulk(self, index: str, documents: int, seconds: float) -> None:
        """Notes documents that were written together."""
        self._bulk_documents.labels(index).observe(documents)
        self._bulk_seconds.labels(index).observe(seconds)

    def pending(self, size: Callable[[], float]) -> None:
        """Says how to learn the bytes of documents that were read and not answered."""
        self._pending.set_function(size)

    def recall(self, index: str, num_candidates: int, value: float) -> None:
        """Notes a recall."""
        self._recall.labels(index, str(num_candidates)).set(value)
