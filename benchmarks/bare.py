"""The model alone: ready arrays in, vectors out, in a loop. What a server is measured against."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embedder_service.arithmetic import Arithmetic, Builder
from embedder_service.loading import builder_of
from embedder_service.model import ImageTower, TextTower, Towers
from embedder_service.model_files import find
from service_kit.cores import physical_cores

SIZES = (1, 2, 4, 8, 16, 32, 64)


class Bare:
    """A model's towers without a server.

    Args:
        folder: The model.
        takes: "image" or "text".
    """

    def __init__(self, folder: Path, takes: str) -> None:
        torch.set_num_threads(physical_cores())
        self._builder: Builder = builder_of(
            find(str(folder), 1.0), (takes,), torch.device("cpu"), physical_cores()
        )
        self._built: dict[tuple[str, str], ImageTower | TextTower] = {}

    def tower(self, backend: str, dtype: str) -> ImageTower | TextTower:
        """The tower in an arithmetic."""
        key = (backend, dtype)
        if key not in self._built:
            towers: Towers = self._builder.build(Arithmetic(*key), torch.device("cpu"))
            tower = towers.images or towers.texts
            assert tower is not None
            self._built[key] = tower
        return self._built[key]


def per_second(tower: Any, inputs: Sequence[Any], size: int, seconds: float) -> float:
    """Inputs a second in batches of `size`, the inputs ready in memory."""
    batch = [inputs[i % len(inputs)] for i in range(size)]
    tower.encode(batch)
    done = 0
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        tower.encode(batch)
        done += size
    return done / passed


def best(tower: Any, inputs: Sequence[Any], seconds: float) -> tuple[int, float]:
    """The batch size with most inputs a second, and how many."""
    rates = {size: per_second(tower, inputs, size, seconds) for size in SIZES}
    return max(rates.items(), key=lambda item: item[1])


def alone(tower: Any, inputs: Sequence[Any], rounds: int) -> float:
    """Median seconds of a batch of one."""
    times = []
    for number in range(rounds):
        began = time.perf_counter()
        tower.encode([inputs[number % len(inputs)]])
        times.append(time.perf_counter() - began)
    return float(np.median(times))
