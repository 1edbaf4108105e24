"""Labels under a name, from files: those that come with the package, and the operator's own.

A file NAME.json holds one object:

    {
      "description": "What it is for.",
      "templates": ["a photo of a {}."],
      "labels": [
        {"name": "honey bee", "texts": ["honey bee", "蜜蜂"], "display_names": {"zh": "蜜蜂"}}
      ]
    }

"description", "templates", "texts" and "display_names" may be left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from imagesearch.gateway.v1 import classification_pb2 as pb

from gateway.classification import wire
from gateway.classification.labels import Labels
from service_kit.errors import InvalidRequestError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KEYS = {"description", "templates", "labels"}


class LabelSetFileError(Exception):
    """A file holds no label set; its message says which, and why."""


@dataclass(frozen=True)
class LabelSet:
    """A list of labels under a name.

    Attributes:
        name: Lower-case letters, digits, "-", "_" and ".".
        description: What it is for.
        labels: The labels.
    """

    name: str
    description: str
    labels: Labels

    @property
    def languages(self) -> list[str]:
        """Languages that its labels have names in, by name."""
        return sorted(
            {language for label in self.labels.labels for language in label.display_names}
        )


def load(folder: Path | None) -> Mapping[str, LabelSet]:
    """Reads all label sets, by name.

    Args:
        folder: The operator's own; one of the same name as ours takes its place. None: ours alone.

    Raises:
        LabelSetFileError: A file cannot be read, or holds no label set.
    """
    sets = {}
    for source, content in [*_ours(), *(_theirs(folder) if folder is not None else ())]:
        label_set = _parsed(source, content)
        sets[label_set.name] = label_set
    return dict(sorted(sets.items()))


def _ours() -> Iterator[tuple[str, str]]:
    for file in resources.files("gateway").joinpath("label_sets").iterdir():
        if file.name.endswith(".json"):
            yield file.name, file.read_text(encoding="utf-8")


def _theirs(folder: Path) -> Iterator[tuple[str, str]]:
    try:
        if not folder.is_dir():
            raise LabelSetFileError(f"{folder} is no folder")
        for file in sorted(folder.glob("*.json")):
            yield str(file), file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelSetFileError(f"{folder} cannot be read: {error}") from error


def _parsed(source: str, content: str) -> LabelSet:
    name = Path(source).stem
    if not _NAME.fullmatch(name):
        what = "must be named with lower-case letters, digits, '-', '_' and '.', 64 at most"
        raise LabelSetFileError(f"{source}: {what}")
    try:
        read = json.loads(content)
        message = _message(read)
        labels = wire.labels(message, "")
    except InvalidRequestError as error:
        raise LabelSetFileError(f"{source}: {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise LabelSetFileError(f"{source}: {error}") from error
    return LabelSet(name, str(read.get("description", "")), labels)


def _message(read: Any) -> pb.Labels:
    """The same as a request has it, so that the same is refused.

    Raises:
        TypeError: Something is of another type, or has another name.
    """
    if not isinstance(read, dict) or not isinstance(read.get("labels"), list):
        raise TypeError('must be an object with a list "labels"')
    if unknown := read.keys() - _KEYS:
        raise TypeError(f"has the unknown key {min(unknown)!r}")
    if not isinstance(read.get("description", ""), str):
        raise TypeError('"description" must be a string')
    message = pb.Labels(templates=read.get("templates", ()))
    for number, label in enumerate(read["labels"]):
        try:
            message.labels.append(pb.Label(**label))
        except (TypeError, ValueError) as error:
            raise TypeError(f"labels[{number}]: {error}") from error
    return message
