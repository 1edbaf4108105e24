"""A small web site on loopback that remembers what it was asked for."""

import asyncio
import gzip
import io
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from PIL import Image

from fetch_kit.addresses import networks
from fetch_kit.guard import Guard
from imagesearch_collect.json_lines import JsonLines

LOOPBACK = networks(["127.0.0.0/8", "::1/128"])


@cache
def picture(seed: int, fmt: str = "PNG", size: tuple[int, int] = (80, 70)) -> bytes:
    """An image file of noise; another for each seed."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, fmt)
    return file.getvalue()


@dataclass(frozen=True)
class Reply:
    """What the site answers to a path."""

    body: bytes = b""
    content_type: str = "text/html"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0


def html(body: str, title: str = "", head: str = "", **headers: str) -> Reply:
    page = f"<html><head><title>{title}</title>{head}</head><body>{body}</body></html>"
    return Reply(page.encode(), "text/html; charset=utf-8", headers=headers)


def png(seed: int, **headers: str) -> Reply:
    return Reply(picture(seed), "image/png", headers=headers)


def redirect(to: str) -> Reply:
    return Reply(status=302, headers={"Location": to})


@cache
def gzip_bomb(size: int) -> Reply:
    """Zeros by the megabyte in some kilobytes, said to be a PNG."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(size // 1_000_000):
            file.write(bytes(1_000_000))
    return Reply(packed.getvalue(), "image/png", headers={"Content-Encoding": "gzip"})


@dataclass
class Site:
    """A running site. Its replies may be changed while it runs."""

    port: int
    replies: dict[str, Reply]
    asked: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)
    headers: dict[str, Mapping[str, str]] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    at_once: int = 0
    most_at_once: int = 0

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def path(self, url: str) -> str:
        """The path of one of its URLs."""
        return url.removeprefix(self.url(""))

    def guard(self) -> Guard:
        """Lets nobody through but to this site."""
        return Guard(frozenset({80, 443, self.port}), LOOPBACK)

    def times(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(self.asked)

    async def has_been_asked(self, most: int, suffix: str = "") -> None:
        """Waits until so many paths with this ending have been asked for."""
        async with self.changed:
            await self.changed.wait_for(
                lambda: sum(path.endswith(suffix) for path in self.asked) >= most
            )

    def forget(self) -> None:
        """Forgets what it was asked for."""
        self.asked.clear()


@asynccontextmanager
async def serving(make: Callable[[str], dict[str, Reply]]) -> AsyncIterator[Site]:
    """Serves what `make` gives for the site's own address ("http://127.0.0.1:1234")."""
    site = Site(0, {})

    async def answer(request: web.Request) -> web.Response:
        async with site.changed:
            site.asked.append(request.path_qs)
            site.changed.notify_all()
        site.hosts.add(request.host.partition(":")[0])
        site.agents.add(request.headers.get("User-Agent", ""))
        site.headers[request.path_qs] = request.headers
        reply = site.replies.get(request.path_qs, Reply(b"not here", "text/plain", 404))
        site.at_once += 1
        site.most_at_once = max(site.most_at_once, site.at_once)
        try:
            await asyncio.sleep(reply.after_s)
        finally:
            site.at_once -= 1
        etag = reply.headers.get("ETag")
        if etag is not None and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        headers = {"Content-Type": reply.content_type, **reply.headers}
        return web.Response(body=reply.body, status=reply.status, headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        site.port = server.port
        site.replies = make(site.url(""))
        yield site


def lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a manifest or of errors."""
    with JsonLines(file) as opened:
        yield from (line for _, line in opened.lines())


class NamesOf(AbstractResolver):
    """Resolves every name to the next of some lists of addresses, and the last for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        found = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        return [_resolved(host, port, address) for address in found]

    async def close(self) -> None:
        pass


class Names(AbstractResolver):
    """Resolves some names; others are not known."""

    def __init__(self, names: Mapping[str, list[str]]) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in self._names:
            raise OSError(f"{host} is not known")
        return [_resolved(host, port, address) for address in self._names[host]]

    async def close(self) -> None:
        pass


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )
