"""The faults are what they are called: or the tests beside this one would prove nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.chaos.proxy import Fault, Proxy

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[Proxy], Awaitable[Pair]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Proxy(f"127.0.0.1:{port}") as proxy:
        yield proxy
    server.close()
    await server.wait_closed()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    writers: list[asyncio.StreamWriter] = []

    async def connected(proxy: Proxy) -> Pair:
        host, _, port = proxy.address.partition(":")
        pair = await asyncio.open_connection(host, int(port))
        writers.append(pair[1])
        return pair

    yield connected
    for writer in writers:
        writer.close()


async def asked(pair: Pair, data: bytes = b"hello", timeout_s: float = 10.0) -> float:
    """Sends something and waits for its echo; seconds it took."""
    reader, writer = pair
    began = time.monotonic()
    writer.write(data)
    async with asyncio.timeout(timeout_s):
        assert await reader.readexactly(len(data)) == data
    return time.monotonic() - began


async def test_everything_passes_while_all_is_well(connect: Connect, proxy: Proxy) -> None:
    await asked(await connect(proxy), bytes(range(256)) * 4_000)

    assert proxy.connections == 1


@pytest.mark.parametrize(
    ("fault", "at_least_s"),
    [
        (Fault(latency_s=0.1), 0.2),
        (Fault(latency_s=0.05, jitter_s=0.05), 0.1),
        (Fault(bandwidth=100_000), 0.2),
        (Fault(slice_bytes=1_000, slice_pause_s=0.005), 0.1),
    ],
    ids=["latency", "jitter", "bandwidth", "slices"],
)
async def test_what_is_slow_arrives_whole(
    connect: Connect, proxy: Proxy, fault: Fault, at_least_s: float
) -> None:
    pair = await connect(proxy)
    await asked(pair)

    proxy.break_(fault)
    took = await asked(pair, bytes(20_000))

    assert took >= at_least_s
    proxy.mend()
    assert await asked(pair) < took


async def test_a_black_hole_gives_back_what_it_took_when_it_is_over(
    connect: Connect, proxy: Proxy
) -> None:
    pair = await connect(proxy)
    await asked(pair)

    proxy.break_(Fault(black_hole=True), "down")
    with pytest.raises(TimeoutError):
        await asked(pair, b"one ", timeout_s=0.2)
    proxy.mend()

    async with asyncio.timeout(5):
        assert await pair[0].readexactly(4) == b"one "


async def test_a_reset_ends_connections_that_there_are_and_new_ones(
    connect: Connect, proxy: Proxy
) -> None:
    pair = await connect(proxy)
    await asked(pair)

    proxy.break_(Fault(reset=True))
    with pytest.raises(ConnectionResetError):
        await asked(pair)
    with pytest.raises(ConnectionResetError):
        await asked(await connect(proxy))

    proxy.mend()
    await asked(await connect(proxy))


@pytest.mark.parametrize("slow_close_s", [0.0, 0.3])
async def test_a_limit_ends_a_connection_in_the_middle(
    connect: Connect, proxy: Proxy, slow_close_s: float
) -> None:
    reader, writer = await connect(proxy)

    proxy.break_(Fault(limit_bytes=1_000, slow_close_s=slow_close_s), "down")
    began = time.monotonic()
    writer.write(bytes(3_000))
    async with asyncio.timeout(5):
        received = await reader.read(-1)

    assert len(received) == 1_000
    assert time.monotonic() - began >= slow_close_s


async def test_an_abandoned_connection_is_silent_and_new_ones_work(
    connect: Connect, proxy: Proxy
) -> None:
    pair = await connect(proxy)
    await asked(pair)

    proxy.abandon()

    with pytest.raises(TimeoutError):
        await asked(pair, timeout_s=0.2)
    await asked(await connect(proxy))


async def test_without_a_server_connections_are_reset(connect: Connect, free_port: int) -> None:
    async with Proxy(f"127.0.0.1:{free_port}") as proxy:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asked(await connect(proxy))
