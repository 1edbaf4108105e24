"""What a server holds and refuses, for Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service_kit.admission import BYTES, CALLS, PIXELS, STREAMS, Admission


def watch_admission(registry: CollectorRegistry, admission: Admission) -> None:
    """Tells how much is held, how much may be, and what was refused, by what it is."""
    registry.register(_Held(admission))


class _Held(Collector):
    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        admission, limits = self._admission, self._admission.limits
        most = {CALLS: admission.pace.limit, STREAMS: limits.streams, BYTES: limits.request_bytes}
        if limits.request_pixels is not None:
            most[PIXELS] = limits.request_pixels
        all_held = {**admission.in_flight, **admission.in_requests}
        held = {kind: all_held[kind] for kind in most}
        refused = {kind: admission.refused[kind] for kind in held}
        yield _gauge(
            "held",
            "Calls and streams under way, bytes of their requests, pixels of the images.",
            held,
        )
        yield _gauge("limit", "How many of them may be now.", most)
        counter = CounterMetricFamily(
            "imagesearch_admission_refused", "Calls that there was no room for.", labels=("kind",)
        )
        for kind, count in refused.items():
            counter.add_metric((kind,), count)
        yield counter


def _gauge(name: str, what: str, values: dict[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"imagesearch_admission_{name}", what, labels=("kind",))
    for kind, value in values.items():
        gauge.add_metric((kind,), value)
    return gauge
