"""A TCP proxy that breaks links as networks do, with the faults that toxiproxy has."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET
from typing import Literal, Self

from imagesearch_dev.elasticsearch.node import free_port

Direction = Literal["up", "down"]
"""Up is from who connects to who listens."""

_CHUNK = 16 * 1024
_CHUNKS = 64


@dataclass(frozen=True)
class Fault:
    """What is wrong with one direction of a link. The default: nothing.

    Attributes:
        latency_s: Everything arrives so much later,
        jitter_s: and up to so much later still. Nothing overtakes.
        bandwidth: Most bytes a second; 0: no bound.
        slice_bytes: What is sent arrives in pieces of so many bytes; 0: as it comes,
        slice_pause_s: with such pauses between them.
        black_hole: Nothing arrives, and nobody is told. What was sent arrives when it is over, as
            after TCP's own repetitions.
        limit_bytes: A connection ends after so many bytes more; 0: no bound.
        slow_close_s: The other side hears so much later that one has ended.
        reset: Connections are reset: those there are at once, new ones when they are used.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bandwidth: int = 0
    slice_bytes: int = 0
    slice_pause_s: float = 0.0
    black_hole: bool = False
    limit_bytes: int = 0
    slow_close_s: float = 0.0
    reset: bool = False


WELL = Fault()


class Proxy:
    """Stands before a server. Use it as an async context manager.

    Its port is known before it starts, and stays the same.

    Args:
        target: host:port of the server. If nobody listens there, connections are reset.

    Attributes:
        address: Where to connect to instead.
        connections: That were made so far.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.connections = 0
        self.faults: dict[Direction, Fault] = {"up": WELL, "down": WELL}
        self.flowing = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def break_(self, fault: Fault, *directions: Direction) -> None:
        """Applies a fault, to connections that there are too. No direction means both."""
        for direction in directions or ("up", "down"):
            self.faults[direction] = fault
            if fault.black_hole:
                self.flowing[direction].clear()
            else:
                self.flowing[direction].set()
        if fault.reset:
            for link in set(self._links):
                link.reset()

    def mend(self) -> None:
        """Lifts what was applied."""
        self.break_(WELL)

    def abandon(self) -> None:
        """Lets the connections that there are carry nothing ever again; new ones work.

        As when a machine between the two was replaced: neither side is told.
        """
        for link in self._links:
            link.abandoned = True

    async def __aenter__(self) -> Self:
        self.mend()
        host = self.address.partition(":")[0]
        self._server = await asyncio.start_server(self._accept, host, self._port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # A task of our own: whoever breaks off a connection must not be told of it by asyncio.
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        link = _Link(self, (writer, far_writer))
        self._links.add(link)
        try:
            await link.carry((reader, far_writer), (far_reader, writer))
        finally:
            self._links.discard(link)
            for each in (writer, far_writer):
                each.close()


class _Link:
    """One connection through the proxy."""

    def __init__(
        self, proxy: Proxy, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    ) -> None:
        self.abandoned = False
        self._proxy = proxy
        self._writers = writers

    def reset(self) -> None:
        for writer in self._writers:
            _reset(writer)

    async def carry(
        self,
        up: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        down: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Returns when either side has ended, and the other has been told."""
        ways = {
            asyncio.create_task(_Way(self._proxy, self, "up").carry(*up)),
            asyncio.create_task(_Way(self._proxy, self, "down").carry(*down)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


class _Way:
    """One direction of a connection."""

    def __init__(self, proxy: Proxy, link: _Link, direction: Direction) -> None:
        self._proxy = proxy
        self._link = link
        self._direction = direction
        self._limited_by = WELL
        self._passed = 0

    @property
    def _fault(self) -> Fault:
        return self._proxy.faults[self._direction]

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries until one side ends, or the fault ends it."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS)
        reading = asyncio.create_task(_read(reader, chunks))
        try:
            with suppress(OSError):
                while True:
                    sent_at, chunk = await chunks.get()
                    await self._delay(sent_at)
                    if not chunk or not await self._pass(chunk, writer):
                        break
            await asyncio.sleep(self._fault.slow_close_s)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _delay(self, sent_at: float) -> None:
        fault = self._fault
        late_s = fault.latency_s + random.uniform(0, fault.jitter_s)
        await asyncio.sleep(max(0.0, sent_at + late_s - time.monotonic()))
        await self._proxy.flowing[self._direction].wait()
        if self._link.abandoned:
            await asyncio.Event().wait()  # until the proxy stops

    async def _pass(self, chunk: bytes, writer: asyncio.StreamWriter) -> bool:
        """Sends a chunk on; False if the connection is to end now."""
        fault = self._fault
        if fault.reset:
            self._link.reset()
            return False
        if fault.limit_bytes:
            if self._limited_by is not fault:
                self._limited_by, self._passed = fault, 0
            chunk = chunk[: fault.limit_bytes - self._passed]
            self._passed += len(chunk)
        size = fault.slice_bytes or len(chunk)
        if fault.bandwidth:
            size = min(size, max(1, fault.bandwidth // 20))
        for start in range(0, len(chunk), size or 1):
            piece = chunk[start : start + size]
            pause_s = fault.slice_pause_s
            if fault.bandwidth:
                pause_s += len(piece) / fault.bandwidth
            if pause_s:
                await asyncio.sleep(pause_s)
            writer.write(piece)
            await writer.drain()
        return not fault.limit_bytes or self._passed < fault.limit_bytes


async def _read(reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]) -> None:
    """Reads ahead, so that latency costs no bandwidth; b"" is the end."""
    chunk = b"?"
    while chunk:
        try:
            chunk = await reader.read(_CHUNK)
        except OSError:
            chunk = b""
        await chunks.put((time.monotonic(), chunk))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
