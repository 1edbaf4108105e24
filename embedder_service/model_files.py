"""Finds a model's files, in a folder or on the hub, and refuses what could run code.

Weights are read from safetensors only: the other formats are pickles, and loading a pickle
runs whatever its author put into it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from service_kit.server import StartError

_ORGANIZATION = "sentence-transformers"
_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors")
_UNWANTED = ("onnx/*", "openvino/*")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5")


@dataclass(frozen=True)
class ModelFiles:
    """A model on this machine.

    Attributes:
        name: Last part of its hub name, or its folder's name.
        folder: Where modules.json is.
        weights: Its safetensors files, in the order in which they are loaded.
    """

    name: str
    folder: Path
    weights: tuple[Path, ...]


def find(model: str, timeout_s: float) -> ModelFiles:
    """Finds a model and checks that it can be loaded safely.

    Args:
        model: A folder; or a hub name, of "sentence-transformers" where it names no one else.
        timeout_s: Seconds that the hub is given to answer.

    Raises:
        StartError: It is not there, is no such model, or keeps its weights in pickles.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        folder = path.resolve()
        return ModelFiles(folder.name, folder, _weights(folder))
    if path.is_file() or path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise StartError(f"the model {model!r} is no folder on this machine")
    repository = model if "/" in model else f"{_ORGANIZATION}/{model}"
    folder = _from_hub(repository, timeout_s)
    return ModelFiles(repository.rpartition("/")[2], folder, _weights(folder))


def _from_hub(repository: str, timeout_s: float) -> Path:
    """Downloads a repository, or finds the copy of an earlier download."""
    try:
        # One quick question first: downloading retries for minutes.
        commit = HfApi().model_info(repository, timeout=timeout_s).sha
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise StartError(
            f"the model {repository!r} is neither a folder here nor on the hub, or is private"
        ) from error
    except Exception as error:  # the hub's client does not name what its HTTP library raises
        return _downloaded(repository, error)
    try:
        return Path(
            snapshot_download(
                repository,
                revision=commit,
                allow_patterns=list(_WANTED),
                ignore_patterns=list(_UNWANTED),
            )
        )
    except Exception as error:
        raise StartError(f"downloading the model {repository!r} failed: {error}") from error


def _downloaded(repository: str, why: Exception) -> Path:
    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        raise StartError(
            f"the model {repository!r} is not on this machine, and the hub "
            f"({constants.ENDPOINT}) gave no answer ({type(why).__name__}): name a local "
            "folder, or bring the hub within reach"
        ) from why


def _weights(folder: Path) -> tuple[Path, ...]:
    """Lists the weight files that loading `folder` reads.

    Raises:
        StartError: It is no sentence-transformers model, or would load pickles or foreign code.
    """
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = [(str(module["type"]), str(module["path"])) for module in modules]
    except FileNotFoundError as error:
        raise StartError(
            f"{folder} is no sentence-transformers model: it has no modules.json"
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StartError(f"{folder}/modules.json cannot be read: {error}") from error
    weights: list[Path] = []
    for kind, path in kinds:
        if not kind.startswith("sentence_transformers."):
            raise StartError(f"{folder} needs code of its own ({kind}), which is never run")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise StartError(f"{folder}/modules.json points outside the model: {path}")
        weights += _module_weights(folder / path)
    if not weights:
        raise StartError(f"{folder} has no weights in safetensors, the only format that is read")
    return tuple(weights)


def _module_weights(folder: Path) -> list[Path]:
    if (folder / "adapter_config.json").exists():
        raise StartError(f"{folder} holds an adapter; merge it into its model first")
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StartError(f"{index} cannot be read: {error}") from error
        return [folder / part for part in sorted(parts)]
    if pickles := [path.name for pattern in _PICKLES for path in folder.glob(pattern)]:
        raise StartError(
            f"{folder} keeps its weights in {pickles[0]}, a format that can run code when it is "
            "loaded; save the model as safetensors"
        )
    return []  # a module without weights, such as pooling
