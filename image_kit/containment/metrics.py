"""What decoding processes are and take, for Prometheus. Looked at when it is read."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from image_kit.containment.pool import ProcessPool

_PREFIX = "imagesearch_decoders"


class PoolCollector(Collector):
    """How many processes of a pool run, what memory they hold, and how many have ended."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """Gives every metric as it is now."""
        pids = self._pool.pids()
        yield GaugeMetricFamily(f"{_PREFIX}_running", "Decoding processes that run.", len(pids))
        yield CounterMetricFamily(
            f"{_PREFIX}_ended",
            "Decoding processes that have ended, by a file's doing or killed from outside.",
            self._pool.ended,
        )
        if sys.platform.startswith("linux"):
            yield GaugeMetricFamily(
                f"{_PREFIX}_resident_memory_bytes",
                "Resident memory of the decoding processes; what they share is counted in each.",
                sum(map(_resident_bytes, pids)),
            )


def _resident_bytes(pid: int) -> int:
    with suppress(OSError):  # it has just ended
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
