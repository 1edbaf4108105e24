"""Searches at the gateway, as a process of its own: so many callers, or so many calls a second.

Prints one JSON object: what the calls ended with, and how long they took.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from service_kit.client import channel
from tests.helpers import Refusal, a_picture, refusal_of

_PICTURES = 200

# Calls that wait for their turn within one connection are not the server's to refuse.
_CONNECTIONS = 4


@dataclass
class Load:
    """What calls ended with.

    Attributes:
        seconds: From the first call to the last one sent.
        sent: Calls.
        codes: How many ended with each status.
        without_retry: Refusals that did not say when to come back.
        answered_s: Seconds that each answer took.
        refused_s: Seconds that each refusal took.
        late_s: Seconds after its deadline that each call ended; negative: before it.
    """

    seconds: float = 0.0
    sent: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    without_retry: int = 0
    answered_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return self.codes.get("OK", 0) / self.seconds


class Caller:
    """Searches for pictures, each time another one.

    Args:
        address: The gateway.
        index: Where to search.
        timeout_s: Of a call: the shortest and the longest.
    """

    def __init__(self, address: str, index: str, timeout_s: tuple[float, float]) -> None:
        self._channels = [channel(address) for _ in range(_CONNECTIONS)]
        stubs = [pb_grpc.ImageSearchServiceStub(opened) for opened in self._channels]
        self._stubs: Sequence[pb_grpc.ImageSearchServiceAsyncStub] = stubs
        self._index = index
        self._timeout_s = timeout_s
        self._pictures = [a_picture(n) for n in range(_PICTURES)]
        self._random = random.Random(1)
        self.load = Load()

    async def close(self) -> None:
        for opened in self._channels:
            await opened.close()

    async def call(self) -> None:
        """Searches once, and notes how it ended."""
        load, number = self.load, self.load.sent
        load.sent += 1
        request = pb.SearchByImageRequest(
            index=self._index, image=self._pictures[number % _PICTURES], k=3
        )
        timeout_s = self._random.uniform(*self._timeout_s)
        began = time.monotonic()
        try:
            await self._stubs[number % _CONNECTIONS].SearchByImage(request, timeout=timeout_s)
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
                refused: Refusal = refusal_of(error)
                load.without_retry += not refused.retry
        took = time.monotonic() - began
        load.codes[code.name] = load.codes.get(code.name, 0) + 1
        load.late_s.append(took - timeout_s)
        if code is grpc.StatusCode.OK:
            load.answered_s.append(took)
        elif code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            load.refused_s.append(took)

    async def closed_loop(self, callers: int, seconds: float) -> None:
        """Has so many callers ask again and again."""
        began = time.monotonic()

        async def one() -> None:
            while time.monotonic() < began + seconds:
                await self.call()

        await asyncio.gather(*(one() for _ in range(callers)))
        self.load.seconds += time.monotonic() - began

    async def open_loop(self, a_second: float, seconds: float) -> None:
        """Sends so many calls a second, whatever becomes of them."""
        calls: set[asyncio.Task[None]] = set()
        began = due = time.monotonic()
        while due < began + seconds:
            due += self._random.expovariate(a_second)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self.call())
            calls.add(task)
            task.add_done_callback(calls.discard)
        self.load.seconds += time.monotonic() - began
        await asyncio.gather(*calls)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("address")
    parser.add_argument("index")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--callers", type=int, help="closed loop")
    parser.add_argument("--rate", type=float, help="open loop, calls a second")
    parser.add_argument("--timeout-s", type=float, nargs=2, default=(10.0, 10.0))
    return parser.parse_args(arguments)


def _come_first() -> None:
    """Where it may: how long this process waits for a processor is not the server's doing."""
    with contextlib.suppress(OSError):
        os.nice(-10)


async def _run(options: argparse.Namespace) -> Load:
    _come_first()
    caller = Caller(options.address, options.index, tuple(options.timeout_s))
    try:
        if options.callers:
            await caller.closed_loop(options.callers, options.seconds)
        else:
            await caller.open_loop(options.rate, options.seconds)
    finally:
        await caller.close()
    return caller.load


async def generate(address: str, index: str, **options: object) -> Load:
    """Runs this module in a process of its own; gives what it found."""
    arguments = [sys.executable, "-m", "tests.chaos.generator", address, index]
    for name, value in options.items():
        values = value if isinstance(value, tuple) else (value,)
        arguments += [f"--{name.replace('_', '-')}", *map(str, values)]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return Load(**json.loads(out))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_run(_parse(None))))))
