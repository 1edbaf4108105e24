"""What a task gives that runs contained: facts in JSON, and bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_kit.reading import ImageLimits

Facts = Mapping[str, Any]
"""What JSON can say."""


@dataclass(frozen=True)
class Answer:
    """What a task found.

    Attributes:
        facts: Small things, in JSON's types. They may come from a process that a file has taken
            over: who uses them must not trust them further than that.
        parts: Large things, such as pixels.
    """

    facts: Facts
    parts: Sequence[bytes | bytearray] = ()


Task = Callable[[bytes, ImageLimits, Facts], Answer]
"""Takes a file, its bounds and options to an answer; raises RefusedImage.

It must be a function of a module that loads neither gRPC nor a model.
"""


def name_of(task: Task) -> str:
    """Names a task for another process: "module:function"."""
    return f"{task.__module__}:{task.__qualname__}"
