"""gateway.multiplexing: what askers hear when the stream that they share ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest

from gateway import multiplexing
from gateway.multiplexing import Multiplexer
from service_kit.errors import RemoteBugError, UnavailableError


@dataclass
class Asked:
    """A request, and its own answer."""

    request_id: str = ""


def broken(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


class Service:
    """Refuses the first streams: whoever writes to one at once does not hear why."""

    def __init__(self, refusals: int) -> None:
        self._refusals = refusals

    async def stream(self, requests: AsyncIterator[Asked]) -> AsyncIterator[Asked]:
        self._refusals -= 1
        if self._refusals == 1:
            await anext(requests)
            raise broken(grpc.StatusCode.INTERNAL, "Internal error from Core: call error")
        if self._refusals == 0:
            raise broken(grpc.StatusCode.UNAUTHENTICATED, "no such key")
        async for request in requests:
            yield request


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplexing, "LISTEN_S", 0.01)


async def test_answers_find_their_questions() -> None:
    stream = Multiplexer(Service(0).stream, "embedder_service", 5.0)
    first, second = Asked(), Asked()

    assert await stream.ask(first) is first
    assert await stream.ask(second) is second
    await stream.close()


async def test_a_refusal_that_was_hidden_is_heard_the_next_time() -> None:
    stream = Multiplexer(Service(2).stream, "embedder_service", 5.0)

    with pytest.raises(UnavailableError):
        await stream.ask(Asked())
    with pytest.raises(RemoteBugError, match="no such key"):
        await stream.ask(Asked())
    asked = Asked()
    assert await stream.ask(asked) is asked
    await stream.close()
