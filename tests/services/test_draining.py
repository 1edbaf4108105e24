"""service_kit: a server that stops among others fails no call, however many there are."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc

from service_kit.client import channel
from service_kit.server import Endpoint, serving
from service_kit.settings import ServerSettings


async def answer(request: bytes, _context: Any) -> bytes:
    await asyncio.sleep(0.01)
    return request


def register(server: grpc.aio.Server) -> None:
    method = grpc.unary_unary_rpc_method_handler(answer)
    handler = grpc.method_handlers_generic_handler("test.Echo", {"Echo": method})
    server.add_generic_rpc_handlers((handler,))


async def test_a_server_that_stops_among_others_fails_no_call() -> None:
    """One that met it while it stopped would be CANCELLED, which no client tries again."""
    settings = ServerSettings(grace_s=20)
    ends: Counter[str] = Counter()
    over = asyncio.Event()

    async def caller(echo: Any) -> None:
        while not over.is_set():
            try:
                await echo(b"?", timeout=10)
                ends["OK"] += 1
            except grpc.aio.AioRpcError as error:
                ends[f"{error.code().name}: {error.details()}"] += 1

    async with serving(settings, [Endpoint("test.Echo", register)]) as first:
        async with serving(settings, [Endpoint("test.Echo", register)]) as second:
            target = f"ipv4:127.0.0.1:{first},127.0.0.1:{second}"
            opened = channel(target)
            echo = opened.unary_unary("/test.Echo/Echo")
            callers = [asyncio.create_task(caller(echo)) for _ in range(100)]
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.5)
        over.set()
        await asyncio.gather(*callers)
        await opened.close()

    assert ends.keys() == {"OK"}, ends
