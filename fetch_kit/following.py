"""A request and its redirects, each hop checked like the first."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from fetch_kit.errors import RedirectsError, UrlInvalidError
from fetch_kit.guard import Guard
from fetch_kit.urls import parse_url

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)


@asynccontextmanager
async def following(
    session: aiohttp.ClientSession,
    guard: Guard,
    url: str,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Gets a URL, following at most MAX_REDIRECTS redirects. Its body is read inside the block.

    Raises:
        UrlInvalidError: It, or what it redirects to, is no URL of a kind that is fetched.
        UrlForbiddenError: It, or what it redirects to, leads where it may not.
        RedirectsError: It redirects too many times.
        aiohttp.ClientError: The network failed, or an address was refused: see `refusal_in`.
    """
    target = guard.check(url)
    for _ in range(MAX_REDIRECTS + 1):
        async with session.get(target, headers=headers, allow_redirects=False) as answer:
            location = answer.headers.get("Location")
            if answer.status in REDIRECTS and location is not None:
                target = guard.check(joined(target, location))
                continue
            yield answer
            return
    raise RedirectsError(f"redirects more than {MAX_REDIRECTS} times")


def joined(base: URL, location: str) -> str:
    """The URL that a Location header leads to.

    Raises:
        UrlInvalidError: It is none.
    """
    try:
        return str(base.join(parse_url(location.strip())))
    except ValueError as error:
        raise UrlInvalidError("is not an http or https URL") from error


def retry_after_s(answer: aiohttp.ClientResponse) -> float | None:
    """Seconds after which the server wants to be asked again; None: it does not say."""
    said = answer.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
