"""gateway.fetch: images by URL, and nothing that is not meant for us."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fetch_kit.addresses import is_public
from gateway.errors import FetchError, FetchForbiddenError
from gateway.fetch import Fetcher
from service_kit import deadlines
from service_kit.errors import DeadlineError, InvalidRequestError

LOOPBACK = ("127.0.0.0/8", "::1/128")


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255"),
        *("192.168.1.1", "169.254.169.254", "100.64.0.1", "168.63.129.16", "224.0.0.1"),
        *("255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1"),
        *("2001::1", "fec0::1", "2606::5efe:7f00:1"),
    ],
)
def test_addresses_that_are_not(address: str) -> None:
    assert not is_public(address)


def test_a_network_can_be_allowed() -> None:
    allowed = [ipaddress.ip_network("10.1.0.0/16")]

    assert is_public("10.1.2.3", allowed)
    assert not is_public("10.2.2.3", allowed)


async def _redirect_to(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": request.query["to"]})


async def _large(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(100):
        await answer.write(b"\0" * 1024)
    return answer


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def _packed(request: web.Request) -> web.Response:
    return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})


async def _image(request: web.Request) -> web.Response:
    return web.Response(body=b"an image", content_type="image/png")


@pytest.fixture
async def site() -> AsyncIterator[TestServer]:
    app = web.Application()
    handlers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
        "/image": _image,
        "/redirect": _redirect_to,
        "/large": _large,
        "/slow": _slow,
        "/packed": _packed,
    }
    for path, handler in handlers.items():
        app.router.add_get(path, handler)
    async with TestServer(app, host="127.0.0.1") as server:
        yield server


def url(site: TestServer, path: str) -> str:
    return f"http://127.0.0.1:{site.port}{path}"


async def fetch(
    site: TestServer, target: str, allowed: tuple[str, ...] = LOOPBACK, timeout_s: float = 5
) -> bytes:
    assert site.port is not None
    deadlines.begin(None)
    async with Fetcher(timeout_s, 50_000, (80, site.port), allowed) as fetcher:
        return await fetcher.fetch(target, "url")


async def test_an_image_is_fetched(site: TestServer) -> None:
    assert await fetch(site, url(site, "/image")) == b"an image"


async def test_redirects_are_followed(site: TestServer) -> None:
    assert await fetch(site, url(site, "/redirect?to=/image")) == b"an image"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]"])
async def test_our_own_machine_is_not_reached(site: TestServer, host: str) -> None:
    with pytest.raises((FetchForbiddenError, FetchError), match=r"not a public|cannot be fetched"):
        await fetch(site, f"http://{host}:{site.port}/image", allowed=())


async def test_nor_by_a_redirect(site: TestServer) -> None:
    with pytest.raises(FetchForbiddenError):
        await fetch(site, url(site, "/redirect?to=http://169.254.169.254/latest"))


async def test_nor_another_port(site: TestServer) -> None:
    with pytest.raises(FetchForbiddenError, match="port 22"):
        await fetch(site, "http://127.0.0.1:22/")


@pytest.mark.parametrize(
    "target",
    [
        *("", "image", "file:///etc/passwd", "ftp://example.org/a.png", "http://", "//x/y"),
        *("http://user:secret@127.0.0.1/", "gopher://x", "http://[::1", "http://x:99999/"),
        "http://x/" + "a" * 9_000,
    ],
)
async def test_what_is_no_url_for_us(site: TestServer, target: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await fetch(site, target)

    assert [field for field, _ in caught.value.violations] == ["url"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/missing", "status 404"),
        ("/large", "more than 50000 bytes"),
        ("/packed", "encoding"),
    ],
)
async def test_what_gives_no_image(site: TestServer, path: str, why: str) -> None:
    with pytest.raises(FetchError, match=why):
        await fetch(site, url(site, path))


async def test_redirects_in_a_circle_end(site: TestServer) -> None:
    target = "/image"
    for _ in range(6):
        target = "/redirect?to=" + quote(target)

    with pytest.raises(FetchError, match="redirects more than 5 times"):
        await fetch(site, url(site, target))


async def test_waiting_has_an_end(site: TestServer) -> None:
    with pytest.raises(FetchError, match=r"no answer within 0\.2 s"):
        await fetch(site, url(site, "/slow"), timeout_s=0.2)


async def test_the_callers_deadline_comes_first(site: TestServer) -> None:
    assert site.port is not None
    deadlines.begin(0.2)
    async with Fetcher(30, 50_000, (site.port,), LOOPBACK) as fetcher:
        with pytest.raises(DeadlineError):
            await fetcher.fetch(url(site, "/slow"), "url")
