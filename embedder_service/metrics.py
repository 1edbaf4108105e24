"""What was done with inputs, for Prometheus. Read when asked; nothing is counted twice."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from embedder_service.embedding import Embedder
from embedder_service.statistics import BOUNDS_S, OUTCOMES, Timing

_PREFIX = "imagesearch_embedder"
_LABELS = ("model", "kind")
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class StatisticsCollector(Collector):
    """Counters, gauges and histograms of every model's towers."""

    def __init__(self, embedders: Sequence[Embedder]) -> None:
        self._embedders = embedders

    def collect(self) -> Iterator[Metric]:
        """Gives every metric as it is now."""
        inputs = CounterMetricFamily(
            f"{_PREFIX}_inputs", "Inputs that are done with.", labels=(*_LABELS, "outcome")
        )
        waiting = GaugeMetricFamily(
            f"{_PREFIX}_waiting", "Inputs that hold a place now.", labels=_LABELS
        )
        limit = GaugeMetricFamily(
            f"{_PREFIX}_waiting_limit",
            "Inputs of calls that may hold a place; beyond it calls are refused.",
            labels=_LABELS,
        )
        times = {
            "prepare": _histogram("prepare_seconds", "Decoding an image or splitting a text."),
            "queue": _histogram("queue_seconds", "From prepared to computed."),
            "in_all": _histogram("total_seconds", "From arrival to outcome, if computed."),
        }
        batches = _histogram("batch_size", "Inputs computed together.")
        device = CounterMetricFamily(
            f"{_PREFIX}_compute_seconds", "Time in forward passes.", labels=_LABELS
        )
        for embedder in self._embedders:
            for kind, intake in (("image", embedder.images), ("text", embedder.texts)):
                statistics = intake.statistics
                labels = (intake.queue.name, kind)
                for outcome in OUTCOMES:
                    inputs.add_metric((*labels, outcome), getattr(statistics, outcome))
                waiting.add_metric(labels, intake.queue.held)
                limit.add_metric(labels, intake.queue.limit)
                for name, family in times.items():
                    _add_times(family, labels, getattr(statistics, name))
                passes = list(statistics.batches.items())
                _add_sizes(batches, labels, {size: timing.count for size, timing in passes})
                device.add_metric(labels, sum(timing.seconds for _, timing in passes))
        yield from (inputs, waiting, limit, *times.values(), batches, device)


def _histogram(name: str, what: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"{_PREFIX}_{name}", what, labels=_LABELS)


def _add_times(family: HistogramMetricFamily, labels: tuple[str, ...], timing: Timing) -> None:
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    _add(family, labels, bounds, list(timing.buckets), timing.seconds)


def _add_sizes(
    family: HistogramMetricFamily, labels: tuple[str, ...], counts: dict[int, int]
) -> None:
    upper = [*_BATCHES, float("inf")]
    lower = [0, *_BATCHES]
    in_bucket = [
        sum(n for size, n in counts.items() if low < size <= high)
        for low, high in zip(lower, upper, strict=True)
    ]
    total = sum(size * count for size, count in counts.items())
    _add(family, labels, [*map(str, _BATCHES), "+Inf"], in_bucket, total)


def _add(
    family: HistogramMetricFamily,
    labels: tuple[str, ...],
    bounds: list[str],
    in_bucket: list[int],
    total: float,
) -> None:
    so_far = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(bounds, in_bucket, strict=True):
        so_far += count
        buckets.append((bound, so_far))
    family.add_metric(labels, buckets, total)
