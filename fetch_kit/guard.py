"""HTTP sessions that connect to nothing but what they may.

Every address is checked when the connection is made, so that a name that resolves differently
the second time gains nothing; and every redirect is a URL of its own, checked like the first.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from fetch_kit.addresses import Network, is_public
from fetch_kit.errors import AddressForbiddenError
from fetch_kit.urls import check_url


class GuardedResolver(AbstractResolver):
    """Resolves names; refuses those of which any address may not be connected to.

    Args:
        allowed: Networks that may be although they are not public.
        resolver: What does the resolving; by default the system's.
    """

    def __init__(
        self, allowed: Sequence[Network], resolver: AbstractResolver | None = None
    ) -> None:
        self._allowed = allowed
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Gives the addresses of a name.

        Raises:
            AddressForbiddenError: One of them may not be connected to.
            OSError: The name cannot be resolved.
        """
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"], self._allowed) for each in found):
            raise AddressForbiddenError(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        """Frees the resolver."""
        await self._resolver.close()


@dataclass(frozen=True)
class Guard:
    """The rules of one use.

    Attributes:
        ports: Ports that URLs may name.
        allowed: Networks that URLs may lead to although they are not public.
        resolver: What resolves names; by default the system does.
    """

    ports: frozenset[int] = frozenset({80, 443})
    allowed: tuple[Network, ...] = ()
    resolver: AbstractResolver | None = None

    def check(self, url: str) -> URL:
        """Reads a URL; see `check_url` for what is refused."""
        return check_url(url, self.ports, self.allowed)

    def session(
        self, headers: dict[str, str], *, limit: int = 32, limit_per_host: int = 0
    ) -> aiohttp.ClientSession:
        """Opens a session: no cookies, no proxies, no passwords of the environment.

        Its URLs must have passed `check`. Bodies are not unpacked: see `fetch_kit.bodies`.

        Args:
            headers: Sent with every request.
            limit: Most connections.
            limit_per_host: Most connections to one host; 0: no bound of its own.
        """
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=GuardedResolver(self.allowed, self.resolver),
                socket_factory=self._socket,
                use_dns_cache=False,
                limit=limit,
                limit_per_host=limit_per_host,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            headers=headers,
        )

    def _socket(self, info: AddrInfoType) -> socket.socket:
        """The last look: whatever was asked for, this is what is connected to."""
        family, kind, protocol, _, address = info
        if not is_public(str(address[0]), self.allowed):
            raise AddressForbiddenError(f"{address[0]} is not a public address")
        return socket.socket(family=family, type=kind, proto=protocol)
