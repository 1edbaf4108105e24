"""Callers of an embedder: so many at a time, a stream, one alone, or more than it can take."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from imagesearch.embedder.v1 import embedder_service_pb2 as pb

Stub = Any

_TIMEOUT_S = 60.0


@dataclass
class Load:
    """What a number of callers got.

    Attributes:
        seconds: From the first call to the last answer that counts.
        latencies: Seconds, of each call that was answered.
        refused: Seconds until each refusal.
        codes: How calls ended.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of them keep within; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


async def callers(stub: Stub, inputs: Sequence[pb.EmbedInput], count: int, seconds: float) -> Load:
    """Has `count` callers ask for one input at a time, again and again."""
    load = Load()
    source = itertools.cycle(inputs)
    began = time.perf_counter()
    end = began + seconds

    async def caller() -> None:
        while time.perf_counter() < end:
            sent = time.perf_counter()
            request = pb.EmbedRequest(inputs=[next(source)])
            answer = await stub.Embed(request, timeout=_TIMEOUT_S)
            assert answer.results[0].HasField("vector"), answer
            load.latencies.append(time.perf_counter() - sent)

    await asyncio.gather(*(caller() for _ in range(count)))
    load.seconds = time.perf_counter() - began
    return load


async def stream(stub: Stub, inputs: Sequence[pb.EmbedInput], seconds: float) -> Load:
    """Sends inputs in one stream for a time, and waits for all answers."""
    load = Load()
    began = time.perf_counter()

    async def requests() -> AsyncIterator[pb.StreamEmbedRequest]:
        for number, item in enumerate(itertools.cycle(inputs)):
            if time.perf_counter() > began + seconds:
                return
            yield pb.StreamEmbedRequest(request_id=str(number), input=item)

    async for answer in stub.StreamEmbed(requests()):
        assert answer.result.HasField("vector"), answer
        load.latencies.append(0.0)
    load.seconds = time.perf_counter() - began
    return load


async def offered(
    stub: Stub, inputs: Sequence[pb.EmbedInput], per_second: float, seconds: float
) -> Load:
    """Calls at a fixed rate, whether answers come or not; drops those that wait at the end."""
    load = Load()
    source = itertools.cycle(inputs)
    calls: set[asyncio.Task[None]] = set()
    began = time.perf_counter()

    async def call() -> None:
        sent = time.perf_counter()
        try:
            await stub.Embed(pb.EmbedRequest(inputs=[next(source)]), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            load.codes[error.code().name] += 1
            load.refused.append(time.perf_counter() - sent)
        else:
            load.codes["OK"] += 1
            load.latencies.append(time.perf_counter() - sent)

    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        task = asyncio.create_task(call())
        calls.add(task)
        task.add_done_callback(calls.discard)
        if time.perf_counter() > began + seconds:
            break
    load.seconds = time.perf_counter() - began
    load.codes["waiting at the end"] = len(calls)
    for waiting in calls:
        waiting.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    return load
