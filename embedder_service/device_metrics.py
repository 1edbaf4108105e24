"""Memory of the GPUs, for Prometheus. Asked of the driver when it is read."""

from collections.abc import Iterator, Sequence

import torch
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class DeviceMemory(Collector):
    """Used and whole memory of every CUDA device among those given; nothing of others."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self._devices = [device for device in devices if device.type == "cuda"]

    def collect(self) -> Iterator[Metric]:
        """Gives every metric as it is now."""
        if not self._devices:
            return
        used = GaugeMetricFamily(
            "imagesearch_embedder_device_memory_used_bytes",
            "Memory of the device in use, by whomever.",
            labels=("device",),
        )
        whole = GaugeMetricFamily(
            "imagesearch_embedder_device_memory_bytes", "Memory of the device.", labels=("device",)
        )
        for device in self._devices:
            free, total = torch.cuda.mem_get_info(device)
            used.add_metric((str(device),), total - free)
            whole.add_metric((str(device),), total)
        yield from (used, whole)
