"""What runs a network: PyTorch anywhere, OpenVINO on processors.

On processors with bfloat16 units OpenVINO runs CLIP 1.3 to 1.8 times as fast as PyTorch does
(measured; see docs/decisions): it packs the weights once and fuses what lies between the
matrix products.
"""

import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from embedder_service.computing import BatchTooLargeError

Engine: TypeAlias = Callable[..., NDArray[np.float32]]
"""Takes a network's inputs as arrays and gives its output."""

_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


def has_openvino() -> bool:
    """OpenVINO is installed."""
    return find_spec("openvino") is not None


def torch_engine(network: nn.Module, device: torch.device) -> Engine:
    """Runs a network, whose weights lie on `device`, with PyTorch.

    The engine raises BatchTooLargeError if the device has not the memory for a batch.
    """

    def run(*inputs: NDArray[Any]) -> NDArray[np.float32]:
        try:
            with torch.inference_mode():
                vectors: NDArray[np.float32] = network(*map(put, inputs)).cpu().numpy()
                return vectors
        except torch.OutOfMemoryError as error:
            raise BatchTooLargeError from error

    def put(array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if device.type == "cuda":  # from pinned memory the copy needs no wait
            return tensor.pin_memory().to(device, non_blocking=True)
        return tensor.to(device)

    return run


class OpenVinoNetwork:
    """A network, converted.

    Args:
        network: In float32, on the processor. It is traced, not changed.
        example: Inputs of at least two items that use all it can do, such as padding.
    """

    def __init__(self, network: nn.Module, example: tuple[NDArray[Any], ...]) -> None:
        # Its converter would report every use to its makers; without this module it does not.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        self._core = openvino.Core()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            inputs = tuple(map(torch.from_numpy, example))
            self._model = openvino.convert_model(network.eval(), example_input=inputs)

    def engine(self, dtype: str, threads: int) -> Engine:
        """Compiles it.

        Args:
            dtype: "float32", "bfloat16" or "float16". Where the processor has no units for
                one, OpenVINO computes in float32.
            threads: Processor cores for one pass.
        """
        compiled = self._core.compile_model(
            self._model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[dtype],
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": threads,
                "ENABLE_CPU_PINNING": False,  # decoding runs on the same cores
            },
        )
        request = compiled.create_infer_request()

        def run(*inputs: NDArray[Any]) -> NDArray[np.float32]:
            outputs = request.infer(list(inputs), share_inputs=True)
            vectors: NDArray[np.float32] = outputs[0]
            return vectors

        return run


def quantised(network: nn.Module) -> nn.Module:
    """Copies a network with its matrix products in int8, weights per channel; processors only."""
    from torch.ao.quantization import quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copy: nn.Module = quantize_dynamic(  # type: ignore[no-untyped-call]
            network, {nn.Linear}, dtype=torch.qint8
        )
    return copy
