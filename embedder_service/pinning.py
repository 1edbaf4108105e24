"""Refuses models whose weights are not those that the operator has named."""

from collections.abc import Iterable, Mapping

from embedder_service import spaces
from embedder_service.model_files import ModelFiles
from service_kit.server import StartError


def check(models: Iterable[ModelFiles], pins: Mapping[str, str]) -> None:
    """Compares the weights of models with what they should be; without pins, all are let through.

    Raises:
        StartError: They are others, or a model has no pin while others have.
    """
    if not pins:
        return
    for files in models:
        found = spaces.digest(files.weights)
        if files.name not in pins:
            raise StartError(
                f"EMBEDDER_MODEL_SHA256 does not name {files.name}; to allow the weights that are "
                f"there now, add {files.name}={found}"
            )
        if found != pins[files.name]:
            raise StartError(
                f"the weights of {files.name} in {files.folder} are not those that "
                f"EMBEDDER_MODEL_SHA256 names: their SHA-256 is {found}"
            )
