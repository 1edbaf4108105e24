"""How Scrapy behaves towards sites: robots.txt, bounds on every hop, and no hammering."""

import asyncio
from typing import TYPE_CHECKING

from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Request, Response
from scrapy.http.request import NO_CALLBACK
from scrapy.robotstxt import ProtegoRobotParser, RobotParser
from scrapy.utils.httpobj import urlparse_cached

from fetch_kit.errors import UrlForbiddenError
from imagesearch_collect.retries import RetryBudget
from imagesearch_collect.robots_directives import AGENT
from imagesearch_collect.site_job import SiteJob

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

MAX_DELAY_S = 60.0
"""Longest time between two requests to one host, whatever it asks for."""

BUSY = (429, 503)

_NOTHING_ALLOWED = b"User-agent: *\nDisallow: /"


class RobotsForbiddenError(IgnoreRequest):
    """robots.txt forbids the URL."""


class EnoughError(IgnoreRequest):
    """The crawl is to end: the URL was not asked for."""


class OffSiteError(IgnoreRequest):
    """The URL is out of bounds; a redirect led to it."""


class RobotsMiddleware(RobotsTxtMiddleware):
    """Obeys robots.txt as RFC 9309 says, and its Crawl-delay.

    Where robots.txt is not there (4xx), all is allowed; where it cannot be had (5xx, no answer),
    nothing is.
    """

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        self._files: dict[str, asyncio.Task[RobotParser]] = {}

    async def robot_parser(self, request: Request) -> RobotParser:
        """Gives the rules for a request's host; they are fetched once."""
        parts = urlparse_cached(request)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._files:
            self._files[origin] = asyncio.create_task(self._fetch(origin))
        parser = await asyncio.shield(self._files[origin])
        if delay := parser.crawl_delay(AGENT):
            keep_apart(self.crawler, request, delay)
            request.meta["autothrottle_dont_adjust_delay"] = True
        return parser

    def process_request_2(self, rp: RobotParser | None, request: Request) -> None:
        """Refuses what the rules forbid."""
        if rp is not None and not rp.allowed(request.url, AGENT):
            raise RobotsForbiddenError("is forbidden by robots.txt")

    async def _fetch(self, origin: str) -> RobotParser:
        request = Request(
            f"{origin}/robots.txt",
            priority=self.DOWNLOAD_PRIORITY,
            meta={"dont_obey_robotstxt": True},
            callback=NO_CALLBACK,
        )
        body = _NOTHING_ALLOWED
        try:
            response = await self.crawler.engine.download_async(request)
        except UrlForbiddenError:
            body = b""  # the guard refuses the request itself too, and says why
        except Exception:
            pass  # whatever went wrong, nobody has said that we may
        else:
            if response.status == 200:
                body = response.body
            elif 300 <= response.status < 500 and response.status != 429:
                body = b""
        return ProtegoRobotParser(body, self.crawler.spider)


class BoundsMiddleware:
    """Holds every request, redirects and retries too, against guard, bounds and budget."""

    def __init__(self, crawler: "Crawler") -> None:
        self._spider = crawler.spider
        self._job: SiteJob = crawler.spider.job  # type: ignore[union-attr]
        self._budget = RetryBudget()

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> "BoundsMiddleware":
        """Makes it, as Scrapy wants it made."""
        return cls(crawler)

    def process_request(self, request: Request) -> None:
        """Refuses what may not be fetched, before robots.txt of its host is asked for."""
        self._job.options.guard.check(request.url)
        kind, bounds = request.meta.get("kind"), self._job.bounds
        if kind == "page" and self._spider.full:  # type: ignore[union-attr]
            raise EnoughError("was not asked for: the crawl has ended")
        if (kind == "page" and not bounds.page(request.url)) or (
            kind == "image" and not bounds.image(request.url)
        ):
            raise OffSiteError(f"leads off the site, to {request.url}")
        if "retry_times" in request.meta:
            self._budget.retried()
        request.meta["dont_retry"] = self._budget.spent

    def process_response(self, request: Request, response: Response) -> Response:
        """Counts answers."""
        self._budget.answered()
        return response


class SlowDownMiddleware:
    """Doubles the delay of a host that says it is busy, or takes the one it asks for."""

    def __init__(self, crawler: "Crawler") -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> "SlowDownMiddleware":
        """Makes it, as Scrapy wants it made."""
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Response:
        """Looks at the status."""
        if response.status in BUSY:
            said = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
            slots = self._crawler.engine.downloader.slots
            slot = slots.get(request.meta.get("download_slot", ""))
            doubled = max(1.0, 2 * slot.delay) if slot is not None else 1.0
            asked = float(said) if said.isascii() and said.isdigit() else 0.0
            keep_apart(self._crawler, request, max(doubled, asked))
        return response


def begin_nothing_more(crawler: "Crawler") -> None:
    """Lets requests that wait for their turn end at once, unasked."""
    crawler.spider.job.stopping = True  # type: ignore[union-attr]
    for slot in crawler.engine.downloader.slots.values():
        slot.delay = 0.0


def keep_apart(crawler: "Crawler", request: Request, seconds: float) -> None:
    """Leaves at least so many seconds, up to MAX_DELAY_S, between requests to this one's host."""
    downloader = crawler.engine.downloader
    key = downloader.get_slot_key(request)
    seconds = min(seconds, MAX_DELAY_S)
    if (slot := downloader.slots.get(key)) is not None:
        slot.delay = max(slot.delay, seconds)
    else:
        downloader.per_slot_settings[key] = {"delay": seconds}
