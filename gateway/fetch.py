"""Fetches images by URL, and connects to nothing but what it may: see `fetch_kit.guard`."""

import asyncio
from collections.abc import Sequence

import aiohttp
from prometheus_client import CollectorRegistry

from fetch_kit.addresses import networks
from fetch_kit.bodies import read_body
from fetch_kit.errors import (
    FetchRefusal,
    StatusError,
    UrlForbiddenError,
    UrlInvalidError,
    refusal_in,
)
from fetch_kit.following import following
from fetch_kit.guard import Guard
from gateway.errors import FetchError, FetchForbiddenError
from gateway.metrics import Metrics
from service_kit.deadlines import remaining
from service_kit.errors import DeadlineError, InvalidRequestError


class Fetcher:
    """Fetches images. Use it as a context manager.

    Args:
        timeout_s: Longest for one, redirects included.
        max_bytes: Most bytes of one.
        ports: Ports that URLs may name.
        allowed: Networks that URLs may lead to although they are not public.
        metrics: Measures what is done; None: nothing does.
    """

    def __init__(
        self,
        timeout_s: float,
        max_bytes: int,
        ports: Sequence[int],
        allowed: Sequence[str],
        metrics: Metrics | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._guard = Guard(frozenset(ports), networks(allowed))
        self._metrics = metrics or Metrics(CollectorRegistry())
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Fetcher":
        self._session = self._guard.session(
            {"Accept": "image/*", "Accept-Encoding": "identity"}, limit=32
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
        with self._metrics.fetching():
            return await self._fetch(url, field)

    async def _fetch(self, url: str, field: str) -> bytes:
        seconds = remaining(self._timeout_s)
        try:
            async with asyncio.timeout(seconds):
                return await self._get(url)
        except TimeoutError as error:
            if seconds < self._timeout_s:
                raise DeadlineError("the URL did not answer before the deadline") from error
            raise FetchError(f"{field}: gave no answer within {self._timeout_s:g} s") from error
        except UrlInvalidError as error:
            raise InvalidRequestError([(field, str(error))]) from error
        except UrlForbiddenError as error:
            raise FetchForbiddenError(f"{field}: {error}") from error
        except FetchRefusal as error:
            raise FetchError(f"{field}: {error}") from error
        except aiohttp.ClientError as error:
            if refused := refusal_in(error):
                raise FetchForbiddenError(f"{field}: {refused}") from error
            raise FetchError(f"{field}: cannot be fetched") from error

    async def _get(self, url: str) -> bytes:
        assert self._session is not None
        async with following(self._session, self._guard, url) as answer:
            if answer.status != 200:
                raise StatusError(answer.status)
            return await read_body(answer, self._max_bytes, packed=False)
