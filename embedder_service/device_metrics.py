"""Memory and work of the GPUs, for Prometheus. Asked of torch and the driver when it is read."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import structlog
import torch
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = structlog.get_logger()

_PREFIX = "imagesearch_embedder_device"


class DeviceCollector(Collector):
    """What every CUDA device among those given holds and does; nothing of others.

    How busy they are is told where there is pynvml (of nvidia-ml-py) and the driver tells.
    """

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self._devices = [device for device in devices if device.type == "cuda"]
        self._tells_work = bool(self._devices) and find_spec("pynvml") is not None

    def collect(self) -> Iterator[Metric]:
        """Gives every metric as it is now."""
        if not self._devices:
            return
        used = _gauge("memory_used_bytes", "Memory of the device in use, by whomever.")
        whole = _gauge("memory_bytes", "Memory of the device.")
        allocated = _gauge("memory_allocated_bytes", "Memory that tensors of this process have.")
        reserved = _gauge("memory_reserved_bytes", "Memory that this process keeps for tensors.")
        for device in self._devices:
            free, total = torch.cuda.mem_get_info(device)
            used.add_metric((str(device),), total - free)
            whole.add_metric((str(device),), total)
            allocated.add_metric((str(device),), torch.cuda.memory_allocated(device))
            reserved.add_metric((str(device),), torch.cuda.memory_reserved(device))
        yield from (used, whole, allocated, reserved)
        if self._tells_work:
            yield from self._work()

    def _work(self) -> Iterator[Metric]:
        busy = _gauge("busy_ratio", "Share of the last moment in which the device computed.")
        try:
            for device in self._devices:
                busy.add_metric((str(device),), torch.cuda.utilization(device) / 100)
        except Exception as error:  # e.g. of a part of a GPU (MIG): the rest must still be told
            log.warning("device_work_not_told", error=str(error))
            self._tells_work = False
            return
        yield busy


def _gauge(name: str, what: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", what, labels=("device",))
