"""fetch_kit: sessions that connect to nothing but what they may, and bodies within bounds."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from fetch_kit.bodies import read_body
from fetch_kit.errors import (
    AnswerError,
    RedirectsError,
    TooLargeError,
    UrlForbiddenError,
    refusal_in,
)
from fetch_kit.following import following, retry_after_s
from fetch_kit.guard import Guard
from tests.picture_site import LOOPBACK, NamesOf, Reply, Site, gzip_bomb, redirect, serving


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    def make(own: str) -> dict[str, Reply]:
        text = b"hello " * 1_000
        raw = zlib.compressobj(wbits=-15)
        headers = {"Content-Encoding": "gzip"}
        return {
            "/plain": Reply(text),
            "/gzip": Reply(gzip.compress(text), headers=headers),
            "/deflate": Reply(zlib.compress(text), headers={"Content-Encoding": "deflate"}),
            "/raw": Reply(raw.compress(text) + raw.flush(), headers={"Content-Encoding": "br"}),
            "/cut": Reply(gzip.compress(text)[:-9], headers=headers),
            "/no-gzip": Reply(text, headers=headers),
            "/bomb": gzip_bomb(50_000_000),
            "/inside": redirect("http://10.0.0.1/"),
            "/again": redirect("/plain"),
            "/circle": redirect("/circle"),
        }

    async with serving(make) as served:
        yield served


async def get(guard: Guard, url: str, *, packed: bool = True, max_bytes: int = 1_000_000) -> bytes:
    async with (
        asyncio.timeout(5),
        guard.session({}) as session,
        following(session, guard, url) as answer,
    ):
        return await read_body(answer, max_bytes, packed=packed)


async def test_a_name_is_connected_to_where_it_resolves(site: Site) -> None:
    guard = Guard(frozenset({site.port}), LOOPBACK, NamesOf(["127.0.0.1"]))

    assert (await get(guard, site.url("/plain", "pictures.example"))).startswith(b"hello")
    assert site.hosts == {"pictures.example"}


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.7"], ["::1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"]],
)
async def test_a_name_that_resolves_to_the_inside_is_not(site: Site, addresses: list[str]) -> None:
    guard = Guard(frozenset({site.port}), (), NamesOf(addresses))

    with pytest.raises(aiohttp.ClientError) as caught:
        await get(guard, site.url("/plain", "pictures.example"))

    assert "is not a public address" in str(refusal_in(caught.value))
    assert site.asked == []


async def test_one_address_inside_spoils_a_name(site: Site) -> None:
    """Or the second connection would go there when the first fails."""
    resolver = NamesOf(["127.0.0.1", "10.0.0.7"])
    guard = Guard(frozenset({site.port}), LOOPBACK, resolver)

    with pytest.raises(aiohttp.ClientError) as caught:
        await get(guard, site.url("/plain", "pictures.example"))

    assert refusal_in(caught.value) is not None


async def test_a_name_that_changes_its_address_is_checked_at_each_connection(site: Site) -> None:
    """DNS rebinding: what the name was a moment ago is nobody's permission."""
    resolver = NamesOf(["127.0.0.1"], ["10.0.0.7"])
    guard = Guard(frozenset({site.port}), LOOPBACK, resolver)
    url = site.url("/plain", "pictures.example")

    await get(guard, url)
    with pytest.raises(aiohttp.ClientError) as caught:
        await get(guard, url)

    assert refusal_in(caught.value) is not None
    assert resolver.asked == 2


async def test_a_socket_to_the_inside_is_not_even_made(site: Site) -> None:
    """Whoever forgets to check a URL is stopped at the connection."""
    guard = Guard(frozenset({site.port}))

    async with guard.session({}) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(URL(site.url("/plain")))

    assert refusal_in(caught.value) is not None
    assert site.asked == []


async def test_redirects_are_followed_and_checked(site: Site) -> None:
    assert (await get(site.guard(), site.url("/again"))).startswith(b"hello")
    with pytest.raises(UrlForbiddenError):
        await get(site.guard(), site.url("/inside"))
    with pytest.raises(RedirectsError):
        await get(site.guard(), site.url("/circle"))


@pytest.mark.parametrize("path", ["/plain", "/gzip", "/deflate"])
async def test_bodies_are_unpacked(site: Site, path: str) -> None:
    assert await get(site.guard(), site.url(path)) == b"hello " * 1_000


@pytest.mark.parametrize("path", ["/raw", "/cut", "/no-gzip"])
async def test_bodies_that_cannot_be_unpacked(site: Site, path: str) -> None:
    with pytest.raises(AnswerError):
        await get(site.guard(), site.url(path))


async def test_bodies_are_unpacked_only_where_it_was_asked_for(site: Site) -> None:
    with pytest.raises(AnswerError, match="not asked for"):
        await get(site.guard(), site.url("/gzip"), packed=False)


@pytest.mark.parametrize("path", ["/plain", "/gzip"])
async def test_the_bound_is_on_what_is_unpacked(site: Site, path: str) -> None:
    assert len(await get(site.guard(), site.url(path), max_bytes=6_000)) == 6_000
    with pytest.raises(TooLargeError):
        await get(site.guard(), site.url(path), max_bytes=5_999)


async def test_a_bomb_goes_off_within_the_bound(site: Site) -> None:
    with pytest.raises(TooLargeError):
        await get(site.guard(), site.url("/bomb"), max_bytes=1_000_000)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("7", 7, 7),
        ("Wed, 21 Oct 2150 07:28:00 GMT", 1e9, 1e10),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ],
)
async def test_retry_after(site: Site, said: str, least: float, most: float) -> None:
    site.replies["/busy"] = Reply(status=503, headers={"Retry-After": said})

    async with (
        site.guard().session({}) as session,
        following(session, site.guard(), site.url("/busy")) as answer,
    ):
        seconds = retry_after_s(answer)

    assert seconds is not None
    assert least <= seconds <= most
