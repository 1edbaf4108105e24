"""Scrapy's downloads through the guard: every connection it makes is made here."""

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.exceptions import DownloadFailedError, DownloadTimeoutError
from scrapy.http import Headers, Request, Response
from scrapy.responsetypes import responsetypes

from fetch_kit.bodies import read_body
from fetch_kit.errors import UrlForbiddenError, refusal_in
from imagesearch_collect.image_rules import check_type
from imagesearch_collect.outcomes import Reason, RefusedError
from imagesearch_collect.scrapy_manners import EnoughError
from imagesearch_collect.site_job import MAX_PAGE_BYTES, SiteJob

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_PAGE_TYPES = ("text/html", "application/xhtml+xml", "image/")
_UNPACKED = {"content-encoding", "content-length", "transfer-encoding"}


class GuardedDownloadHandler(BaseDownloadHandler):
    """Gets one URL. Redirects are Scrapy's to follow, and come back here.

    Answers are not read further than their kind allows: `meta["kind"]` is "page", "image", or,
    for robots.txt, absent.

    Raises:
        FetchRefusal: The guard refuses the URL, or the answer is not what was asked for.
        RefusedError: By its type the answer is neither a page nor an image.
        EnoughError: The crawl is being stopped.
        DownloadTimeoutError: There was no whole answer in time.
        DownloadFailedError: The network failed.
    """

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        job: SiteJob = crawler.spider.job  # type: ignore[union-attr]
        self._job = job
        self._guard = job.options.guard
        self._max_image_bytes = job.collection.rules.max_bytes
        self._session = self._guard.session({}, limit=job.options.concurrency)

    async def download_request(self, request: Request) -> Response:
        """Gets the request's URL."""
        if self._job.stopping:
            raise EnoughError("was not asked for: the crawl has ended")
        url = self._guard.check(request.url)
        seconds = float(request.meta["download_timeout"])
        headers = {
            name.decode("latin-1"): b", ".join(values).decode("latin-1")
            for name, values in request.headers.items()
        }
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(seconds):
                async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
                    latency = asyncio.get_running_loop().time() - began
                    request.meta["download_latency"] = latency
                    return await self._response(request, answer)
        except TimeoutError as error:
            raise DownloadTimeoutError(f"gave no answer within {seconds:g} s") from error
        except aiohttp.ClientError as error:
            if refused := refusal_in(error):
                raise UrlForbiddenError(str(refused)) from error
            raise DownloadFailedError(f"cannot be reached: {type(error).__name__}") from error

    async def _response(self, request: Request, answer: aiohttp.ClientResponse) -> Response:
        body = b""
        if answer.status == 200:
            content_type = answer.headers.get("Content-Type", "")
            body = await read_body(answer, self._most(request, content_type), packed=True)
        headers = Headers()
        for name, value in answer.headers.items():
            if name.lower() not in _UNPACKED:
                headers.appendlist(name, value)
        kind: type[Response] = Response
        if request.meta.get("kind") == "page":
            kind = responsetypes.from_args(headers=headers, url=request.url, body=body[:4096])
        return kind(url=request.url, status=answer.status, headers=headers, body=body)

    def _most(self, request: Request, content_type: str) -> int:
        """Bytes that are read of a good answer."""
        match request.meta.get("kind"):
            case "image":
                check_type(content_type)
                return self._max_image_bytes
            case "page":
                if content_type and not content_type.lower().startswith(_PAGE_TYPES):
                    raise RefusedError(Reason.WRONG_TYPE, f"is {content_type}, not a page")
                if content_type.lower().startswith("image/"):
                    return self._max_image_bytes
        return MAX_PAGE_BYTES

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()
