"""The three services as processes of their own, as tests start, stop and kill them by the dozen."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from imagesearch_dev import models
from imagesearch_dev.elasticsearch.node import free_port
from imagesearch_dev.processes import Process
from service_kit.check_health import serving
from tests.chaos import FULL

START_S = 300.0 if FULL else 90.0
"""An embedder that starts while others take all of a small machine needs minutes."""

SERVICES = ("embedder_service", "search_service", "gateway")

PREFIX = {"embedder_service": "EMBEDDER", "search_service": "SEARCH", "gateway": "GATEWAY"}

_ENV = {
    "embedder_service": {
        "EMBEDDER_IMAGE_MODEL": models.TINY.image,
        "EMBEDDER_TEXT_MODEL": models.TINY.text,
    },
    "search_service": {},
    "gateway": {},
}

_PR_SET_PDEATHSIG = 1

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["pytest", *(f"{name}.server" for name in SERVICES)])


class Fork(Process):
    """A module in a process that begins as a fork of one that has imported what services need.

    What `python -m` starts is the same but for its first seconds: most of a service's start is
    the import of PyTorch and the like, and a suite starts dozens.
    """

    def __init__(self, module: str, *, log: Path, env: Mapping[str, str]) -> None:
        super().__init__(module, (sys.executable, "-m", module), log=log, env=env)
        self._fork: multiprocessing.process.BaseProcess | None = None

    @property
    def pid(self) -> int:
        assert self._fork is not None, "not started"
        assert self._fork.pid is not None
        return self._fork.pid

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        arguments = (self.name, dict(self._env), str(self.log))
        self._fork = _forks.Process(target=_run, args=arguments, daemon=True)
        self._fork.start()

    def exit_status(self) -> int | None:
        return None if self._fork is None else self._fork.exitcode

    def kill(self) -> None:
        if self._fork is not None:
            self._fork.kill()
            self._fork.join()

    def stop(self, timeout_s: float = 30.0) -> None:
        if self._fork is None or self._fork.exitcode is not None:
            return
        self._fork.terminate()
        self._fork.join(timeout_s)
        if self._fork.exitcode is None:
            self.kill()


def _run(module: str, env: Mapping[str, str], log: str) -> None:
    """Becomes `python -m module`."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class Service:
    """One process of a service: a tiny model in the embedder, whatever else by settings.

    Args:
        name: Its package.
        log: File of its output.
        env: Its settings, without where it listens.
        address: Where it listens; None: on a port of its own.

    Attributes:
        address: Where it listens.
        process: It.
    """

    def __init__(
        self, name: str, log: Path, env: Mapping[str, str], address: str | None = None
    ) -> None:
        self.address = address or f"127.0.0.1:{free_port()}"
        env = {**_ENV[name], f"{PREFIX[name]}_LISTEN": self.address, **env}
        if FULL:
            self.process = Process(name, (sys.executable, "-m", name), log=log, env=env)
        else:
            self.process = Fork(name, log=log, env=env)

    def wait(self, timeout_s: float = START_S) -> None:
        """Waits until it says that it can do its work."""
        end = time.monotonic() + timeout_s
        while not serving(self.address):
            assert self.process.exit_status() is None, self.process.last_lines()
            assert time.monotonic() < end, self.process.last_lines()
            time.sleep(0.05)
