"""A name server for tests: names whose addresses change while it runs."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections.abc import Sequence
from typing import Any, Self

_A = 1
_HEADER = struct.Struct("!HHHHHH")
_ANSWER = struct.Struct("!HHHIH4s")
_NAME_OF_THE_QUESTION = 0xC00C
_TTL_S = 0


class Names(asyncio.DatagramProtocol):
    """Answers every question for an IPv4 address with the same list, and others with none.

    Use it as an async context manager, and its names as "dns://ADDRESS/any.name:port".

    Attributes:
        addresses: What names lead to now.
        address: Where it answers.
        asked: Questions for addresses so far.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = list(addresses)
        self.address = ""
        self.asked = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._transport = transport
        self.address = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._transport is not None
        self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answers one question."""
        assert self._transport is not None
        number, flags, *_ = _HEADER.unpack_from(data)
        end = data.index(0, _HEADER.size) + 5
        (kind,) = struct.unpack_from("!H", data, end - 4)
        found = self.addresses if kind == _A else []
        self.asked += kind == _A
        recursion = flags & 0x0100
        answer = _HEADER.pack(number, 0x8080 | recursion, 1, len(found), 0, 0)
        answer += data[_HEADER.size : end]
        for address in found:
            packed = ipaddress.IPv4Address(address).packed
            answer += _ANSWER.pack(_NAME_OF_THE_QUESTION, _A, 1, _TTL_S, len(packed), packed)
        self._transport.sendto(answer, addr)
