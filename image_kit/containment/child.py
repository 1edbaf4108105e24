"""A decoding process: takes files one by one, gives answers, may do nothing else.

It is started by `image_kit.containment.process` and ends with its parent, however that ends.
"""

import contextlib
import fcntl
import importlib
import mmap
import os
import signal
import socket
import traceback
from collections.abc import Mapping
from typing import Any

from PIL import Image

from image_kit.containment import frames
from image_kit.containment.answers import Task
from image_kit.containment.confinement import allow_seconds, confine
from image_kit.reading import TOO_COSTLY, ImageLimits, RefusedImage


def main(setup: Mapping[str, Any]) -> None:
    """Serves until the parent closes the connection.

    Args:
        setup: File descriptors "connection", "memory" and "life", "tasks" by name, and the
            bounds "memory_bytes" and "seconds".
    """
    end_with(setup["life"])
    with socket.socket(fileno=setup["connection"]) as connection:
        try:
            shared = mmap.mmap(setup["memory"], 0)
            os.close(setup["memory"])
            tasks = {name: _load(name) for name in setup["tasks"]}
            Image.init()  # all formats, so that no image pays for it
            done = confine(setup["memory_bytes"])
        except Exception:
            frames.send(connection, {"failed": traceback.format_exc()})
            return
        frames.send(connection, {"ready": done})
        while (request := frames.receive(connection)) is not None:
            allow_seconds(setup["seconds"])
            frames.send(connection, _answer(tasks[request["task"]], request, shared))


def end_with(life: int) -> None:
    """Ends this process when the other end of a pipe is closed, even in the midst of decoding."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # which is to end
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        if not os.read(life, 1):
            raise SystemExit  # it was closed before


def _load(name: str) -> Task:
    module, _, function = name.partition(":")
    task: Task = getattr(importlib.import_module(module), function)
    return task


def _answer(task: Task, request: Mapping[str, Any], shared: mmap.mmap) -> dict[str, Any]:
    data = shared[: request["length"]]
    try:
        answer = task(data, ImageLimits(*request["limits"]), request["options"])
        lengths = [len(part) for part in answer.parts]
        if sum(lengths) > len(shared):
            raise RefusedImage("gives more than is allowed", TOO_COSTLY)
        at = 0
        for part in answer.parts:
            shared[at : at + len(part)] = part
            at += len(part)
        return {"facts": answer.facts, "lengths": lengths}
    except RefusedImage as refused:
        return {"refused": [refused.what, refused.reason]}
    except MemoryError:
        return {"refused": ["takes more memory than is allowed", TOO_COSTLY]}
    except Exception:  # a fault of the task, not of the file
        return {"failed": traceback.format_exc()}
