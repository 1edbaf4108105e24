"""Fetches images by URL, and connects to nothing but what it may.

Every address is checked when the connection is made, on every redirect, so that a name
that resolves differently the second time gains nothing (OWASP API7:2023, SSRF).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from gateway.errors import FetchError, FetchForbiddenError
from service_kit.deadlines import remaining
from service_kit.errors import DeadlineError, InvalidRequestError

MAX_REDIRECTS = 5
MAX_URL_BYTES = 8_192

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Not "is_global": it is true of several of these. IPv4 inside IPv6 is denied as a whole.
_DENIED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's metadata service, in no special range
        *("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"),
        *("100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


def is_public(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether an IP address may be connected to.

    Args:
        address: IPv4 or IPv6.
        allowed: Networks that may be although they are not public.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip.version == network.version and ip in network for network in allowed):
        return True
    if ip.version == 6 and (int(ip) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return not any(ip.version == network.version and ip in network for network in _DENIED)


class _GuardedResolver(AbstractResolver):
    """Resolves names; refuses those of which any address may not be connected to."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"], self._allowed) for each in found):
            raise FetchForbiddenError(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Fetcher:
    """Fetches images. Use it as a context manager.

    Args:
        timeout_s: Longest for one, redirects included.
        max_bytes: Most bytes of one.
        ports: Ports that URLs may name.
        allowed: Networks that URLs may lead to although they are not public.
    """

    def __init__(
        self, timeout_s: float, max_bytes: int, ports: Sequence[int], allowed: Sequence[str]
    ) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._ports = ports
        self._allowed = [ipaddress.ip_network(network) for network in allowed]
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Fetcher":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_GuardedResolver(self._allowed), use_dns_cache=False, limit=32
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"Accept": "image/*", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def fetch(self, url: str, field: str) -> bytes:
        """Fetches an image. `field` is where in the request its URL is.

        Raises:
            InvalidRequestError: It is no URL of a kind that is fetched.
            FetchForbiddenError: It leads where it may not.
            FetchError: Nothing that could be an image is there.
            DeadlineError: The caller's time is over.
        """
        seconds = remaining(self._timeout_s)
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(self._parse(url, field), field)
        except TimeoutError as error:
            if seconds < self._timeout_s:
                raise DeadlineError("the URL did not answer before the deadline") from error
            raise FetchError(f"{field}: gave no answer within {self._timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            if isinstance(refused := error.__cause__, FetchForbiddenError):
                raise refused from error
            raise FetchError(f"{field}: cannot be fetched") from error

    def _parse(self, url: str, field: str) -> URL:
        what = "is not an http or https URL"
        if len(url.encode()) > MAX_URL_BYTES:
            raise InvalidRequestError([(field, f"has more than {MAX_URL_BYTES} bytes")])
        try:
            parsed = URL(url)
            port = parsed.port
        except ValueError as error:
            raise InvalidRequestError([(field, what)]) from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InvalidRequestError([(field, what)])
        if parsed.user is not None or parsed.password is not None:
            raise InvalidRequestError([(field, "must not carry a user name or password")])
        if port not in self._ports:
            raise FetchForbiddenError(f"{field}: port {port} is not allowed")
        return parsed

    async def _follow(self, url: URL, field: str) -> bytes:
        assert self._session is not None
        for _ in range(MAX_REDIRECTS + 1):
            self._check_literal(url, field)
            async with self._session.get(url, allow_redirects=False) as answer:
                location = answer.headers.get("Location")
                if answer.status in (301, 302, 303, 307, 308) and location is not None:
                    url = self._parse(str(url.join(URL(location))), field)
                    continue
                return await self._body(answer, field)
        raise FetchError(f"{field}: redirects more than {MAX_REDIRECTS} times")

    def _check_literal(self, url: URL, field: str) -> None:
        """A host that is an address already is connected to without the resolver."""
        try:
            public = is_public(url.host or "", self._allowed)
        except ValueError:
            return  # a name
        if not public:
            raise FetchForbiddenError(f"{field}: {url.host} is not a public address")

    async def _body(self, answer: aiohttp.ClientResponse, field: str) -> bytes:
        if answer.status != 200:
            raise FetchError(f"{field}: answered with status {answer.status}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError(f"{field}: answered with an encoding that was not asked for")
        data = bytearray()
        async for chunk in answer.content.iter_chunked(64 * 1024):
            data += chunk
            if len(data) > self._max_bytes:
                raise FetchError(f"{field}: has more than {self._max_bytes} bytes")
        return bytes(data)
