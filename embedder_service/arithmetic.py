"""Chooses engine, arithmetic and batch size by measurement: the fastest with the same vectors."""

import copy
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from embedder_service.engines import (
    Engine,
    OpenVinoNetwork,
    has_openvino,
    quantised,
    torch_engine,
)
from embedder_service.model import PROBE_TEXTS, ImageTower, TextTower, Towers
from embedder_service.networks import ImageNetwork, TextNetwork
from embedder_service.preprocessing import ImageRecipe
from embedder_service.settings import Backend, Dtype
from embedder_service.tokens import TextRecipe, stack
from service_kit.server import StartError

log = structlog.get_logger()

# Least cosine between a vector in half precision and the same one in float32.
_SAME = 0.999
# How much faster another arithmetic must be: less is noise.
_GAIN = 1.1
# What "auto" tries. float16 before bfloat16 where both are as fast: three more bits of mantissa.
_DTYPES = {
    "cpu": ("float32", "bfloat16"),
    "cuda": ("float32", "float16", "bfloat16"),
    "mps": ("float32", "float16"),
}
# A batch this close to the best throughput is large enough: larger ones only make callers wait.
_ENOUGH = 0.97
# The most that is tried, and the longest (seconds) that one pass may keep a caller waiting.
_LARGEST = {"cpu": (64, 0.25), "cuda": (512, 0.1), "mps": (128, 0.25)}


@dataclass(frozen=True)
class Arithmetic:
    """What computes, and in what."""

    backend: str
    dtype: str


class Builder:
    """Builds the towers of one model in any arithmetic, on any device.

    Args:
        network: The model in float32.
        images: How its pixels are made; None if images are not wanted of it.
        texts: How its tokens are made; None if texts are not wanted of it.
        threads: Processor cores for one pass.
    """

    def __init__(
        self,
        network: SentenceTransformer,
        images: ImageRecipe | None,
        texts: TextRecipe | None,
        threads: int,
    ) -> None:
        self._network = network
        self._images = images
        self._texts = texts
        self._threads = threads
        self._converted: dict[str, OpenVinoNetwork] = {}

    @property
    def logit_scale(self) -> float:
        """Factor from cosine to logits; 0 where the model does not say."""
        scale = getattr(self._network.transformers_model, "logit_scale", None)
        # CLIP stores the logarithm.
        return float(scale.detach().float().exp()) if scale is not None else 0.0

    def build(self, arithmetic: Arithmetic, device: torch.device) -> Towers:
        """Builds the towers. The model that was given stays as it is."""
        network = self._network
        if arithmetic.backend == "torch":
            network = _with_weights(network, arithmetic.dtype, device)
        images = texts = None
        if self._images:
            square = np.zeros((2, self._images.side, self._images.side, 3), np.uint8)
            image_network = ImageNetwork(network, self._images)
            images = ImageTower(
                self._engine(image_network, (square,), arithmetic, device), self._images
            )
        if self._texts:
            tokens = stack([self._texts.prepare(t) for t in PROBE_TEXTS[:2]], self._texts.padding)
            engine = self._engine(TextNetwork(network), tokens, arithmetic, device)
            texts = TextTower(engine, self._texts, together=device.type != "cpu")
        return Towers(images, texts)

    def _engine(
        self,
        network: ImageNetwork | TextNetwork,
        example: tuple[NDArray[Any], ...],
        arithmetic: Arithmetic,
        device: torch.device,
    ) -> Engine:
        if arithmetic.backend == "torch":
            return torch_engine(network.to(device), device)
        kind = type(network).__name__
        if kind not in self._converted:
            self._converted[kind] = OpenVinoNetwork(network, example)
        return self._converted[kind].engine(arithmetic.dtype, self._threads)


def _with_weights(
    network: SentenceTransformer, dtype: str, device: torch.device
) -> SentenceTransformer:
    if dtype == "int8":
        return quantised(network)  # type: ignore[return-value]
    wanted = getattr(torch, dtype)
    if network.dtype == wanted and network.device == device:
        return network
    return copy.deepcopy(network).to(device=device, dtype=wanted)


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        arithmetic: Engine and arithmetic.
        towers: In that, on the device it was chosen for.
        cosine: Least cosine of the fixed inputs' vectors to those of float32.
    """

    arithmetic: Arithmetic
    towers: Towers
    cosine: float


def choose(
    builder: Builder,
    exact: NDArray[np.float32],
    device: torch.device,
    backend: Backend,
    dtype: Dtype,
) -> Choice:
    """Chooses how a model is computed on a device.

    Args:
        builder: Of the model.
        exact: Its vectors of the fixed inputs, in float32.
        device: Where it will run.
        backend: What the operator asked for. "auto": OpenVINO on a processor, where it is
            installed and can convert the model.
        dtype: What the operator asked for. "auto": the fastest with a cosine of 0.999.

    Raises:
        StartError: What was asked for does not work, or gives other vectors.
    """
    best: Choice | None = None
    fastest = float("inf")
    problem = ""
    for arithmetic in _candidates(device, backend, dtype):
        if best and arithmetic.backend != best.arithmetic.backend:
            break  # the next backend is for when this one does not work
        try:
            towers = builder.build(arithmetic, device)
            cosine = float((exact * towers.probe_vectors()).sum(axis=1).min())
            seconds = _seconds(towers)
        except Exception as error:
            problem = f"{arithmetic.backend} in {arithmetic.dtype} fails: {error}"
            log.warning("arithmetic_failed", **vars(arithmetic), error=str(error))
            continue
        log.info("arithmetic", **vars(arithmetic), cosine=round(cosine, 6), seconds=seconds)
        if not cosine >= _SAME and arithmetic.dtype != "int8":
            problem = f"in {arithmetic.dtype} its vectors have a cosine of {cosine:.4f} to float32"
        elif seconds * _GAIN < fastest:
            best, fastest = Choice(arithmetic, towers, cosine), seconds
    if best is None:
        raise StartError(problem)
    return best


def _candidates(device: torch.device, backend: Backend, dtype: Dtype) -> list[Arithmetic]:
    if device.type != "cpu" and (backend == "openvino" or dtype == "int8"):
        raise StartError(f"OpenVINO and int8 are for processors; the device is {device}")
    if dtype == "int8":
        if backend == "openvino":
            raise StartError("int8 needs the backend torch")
        return [Arithmetic("torch", "int8")]
    backends: tuple[str, ...] = (backend,)
    if backend == "auto":
        backends = ("openvino", "torch") if device.type == "cpu" and has_openvino() else ("torch",)
    dtypes = _DTYPES[device.type] if dtype == "auto" else (dtype,)
    return [Arithmetic(each, name) for each in backends for name in dtypes]


def _seconds(towers: Towers, rounds: int = 4) -> float:
    """Measures one pass of the fixed inputs through all towers: the best of some."""
    return sum(
        min(_timed(tower, inputs) for _ in range(rounds)) for tower, inputs in towers.probes()
    )


def _timed(tower: ImageTower | TextTower, inputs: list[Any]) -> float:
    began = time.perf_counter()
    tower.encode(inputs)
    return time.perf_counter() - began


def batch_size(tower: ImageTower | TextTower, one: Any, device: torch.device) -> int:
    """Measures from which batch size on a tower gains no more.

    Args:
        tower: It is warm for every size up to the result when this returns.
        one: An input, prepared.
        device: Where the tower runs.
    """
    largest, longest_s = _LARGEST[device.type]
    rates: dict[int, float] = {}
    size = 1
    while size <= largest:
        tower.encode([one] * size)
        seconds = min(_timed(tower, [one] * size) for _ in range(3))
        if rates and seconds > longest_s:
            break
        rates[size] = size / seconds
        size *= 2
    return min(n for n, rate in rates.items() if rate >= _ENOUGH * max(rates.values()))
