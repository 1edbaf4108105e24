"""What is told of GPUs, on a machine without one."""

import pytest
import torch
from prometheus_client import CollectorRegistry

from embedder_service import device_metrics
from embedder_service.device_metrics import DeviceCollector

PREFIX = "imagesearch_embedder_device_"


@pytest.fixture(autouse=True)
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1, 8))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3)


def with_pynvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_metrics, "find_spec", lambda name: object())


def told(*names: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(DeviceCollector([torch.device(name) for name in names]))
    return registry


def value(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(f"{PREFIX}{name}", {"device": "cuda:0"})


def test_memory_is_told_and_work_is_not_without_pynvml() -> None:
    registry = told("cuda:0", "cpu")

    names = ("memory_used", "memory", "memory_allocated", "memory_reserved")
    assert [value(registry, f"{name}_bytes") for name in names] == [7, 8, 2, 3]
    assert value(registry, "busy_ratio") is None


def test_work_is_told_with_pynvml(monkeypatch: pytest.MonkeyPatch) -> None:
    with_pynvml(monkeypatch)
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 40)

    assert value(told("cuda:0"), "busy_ratio") == 0.4


def test_a_driver_that_does_not_tell_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: torch.device) -> int:
        raise RuntimeError("Not Supported")

    with_pynvml(monkeypatch)
    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    registry = told("cuda:0")

    assert value(registry, "busy_ratio") is None
    assert value(registry, "memory_bytes") == 8


def test_of_a_processor_nothing_is_told() -> None:
    assert list(told("cpu").collect()) == []
