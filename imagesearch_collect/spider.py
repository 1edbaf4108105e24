"""The spider: from page to page within bounds, images before further pages."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import scrapy
from scrapy.exceptions import CloseSpider
from scrapy.http import Request, Response, TextResponse
from twisted.python.failure import Failure

from fetch_kit.errors import FetchRefusal
from imagesearch_collect.collection import Answer
from imagesearch_collect.manifest import Place
from imagesearch_collect.outcomes import PASSING, Reason
from imagesearch_collect.page import Found, read_page
from imagesearch_collect.robots_directives import Directives, from_headers
from imagesearch_collect.scrapy_manners import EnoughError, begin_nothing_more
from imagesearch_collect.scrapy_refusals import refusal_of
from imagesearch_collect.site_job import SiteJob

_IMAGES_FIRST = 1_000
_NOINDEX = "asks robots not to keep it (X-Robots-Tag)"


class SiteSpider(scrapy.Spider):
    """Reads pages and collects their images.

    Args:
        job: What it is to do.

    Attributes:
        end: Why it ended: "finished", or the bound that it met.
        full: As many pages were read as were asked for.
    """

    name = "imagesearch"

    def __init__(self, job: SiteJob, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.end = ""
        self._pages = 0
        self.full = False
        self._one_at_a_time = asyncio.Lock()

    async def start(self) -> AsyncIterator[Request]:
        """Begins at the seeds, or where the crawl was left that this one goes on with."""
        for seed in self.job.options.seeds:
            for request in self._follow([seed], 0, ""):
                yield request
        for page in self.job.log.pages():
            found = [Found(**image) for image in page["images"]]
            for request in self._collect(found, page["urls"][-1], page["title"]):
                yield request
            for request in self._follow(page["links"], page["depth"] + 1, page["urls"][-1]):
                yield request

    async def parse_page(self, response: Response) -> AsyncIterator[Request]:
        """Takes a page's images, and follows its links."""
        said = _directives(response)
        if response.headers.get("Content-Type", b"").lower().startswith(b"image/"):  # type: ignore[union-attr]
            await self._keep_linked(response, said)
            return
        if not isinstance(response, TextResponse) or self.full or self._stopped():
            return
        page = read_page(response.text, response.url)
        said &= page.directives
        depth = int(response.meta["level"])
        links = page.links if said.links and depth < self.job.options.max_depth else []
        links = [link for link in links if self.job.bounds.page(link)]
        images = page.images if said.images else []
        images = [image for image in images if self._may_be_taken(image, response.url)]
        self._pages += 1
        self.job.collection.tally.pages += 1
        if self.job.listed is None:
            asked = [response.meta["asked"], response.url]
            self.job.log.add(list(dict.fromkeys(asked)), depth, page.title, images, links)
        for request in self._collect(images, response.url, page.title):
            yield request
        if self._pages >= self.job.options.max_pages > 0:
            self.full = True  # no more pages; the images of this one still come
            return
        for request in self._follow(links, depth + 1, response.url):
            yield request

    async def keep_image(self, response: Response) -> None:
        """Stores an image."""
        url = response.meta["asked"]
        if response.status == 304:
            self.job.collection.unchanged(url)
        elif not _directives(response).images:
            self.job.collection.refuse(url, Reason.NOINDEX, _NOINDEX)
        else:
            await self._keep(url, response)

    def no_image(self, failure: Failure) -> None:
        """Notes why there is no image."""
        assert failure.value is not None
        asked = failure.request.meta["asked"]  # type: ignore[attr-defined]
        if isinstance(failure.value, EnoughError):
            self.job.collection.drop(asked)
            return
        refused = refusal_of(failure.value)
        self.job.collection.refuse(asked, refused.reason, str(refused))

    def no_page(self, failure: Failure) -> None:
        """Notes why a page was not read."""
        if isinstance(failure.value, EnoughError):
            return
        assert failure.value is not None
        refused = refusal_of(failure.value)
        meta = failure.request.meta  # type: ignore[attr-defined]
        if refused.reason not in (Reason.OFF_SITE, Reason.WRONG_TYPE):
            self.job.collection.refuse_page(meta["asked"], refused.reason, str(refused))
        if refused.reason not in PASSING and self.job.listed is None:
            self.job.log.add([meta["asked"]], meta["level"], "", [], [])

    def closed(self, reason: str) -> None:
        """Called by Scrapy at the end."""
        self.end = "max pages" if reason == "finished" and self.full else reason

    def _follow(self, links: Iterable[str], depth: int, linked_by: str) -> Iterator[Request]:
        for link in links:
            if self.full or self._stopped():
                return
            if link in self.job.log:
                continue
            try:
                self.job.options.guard.check(link)
            except FetchRefusal as error:
                refused = refusal_of(error)
                self.job.collection.refuse_page(link, refused.reason, str(refused))
                continue
            yield Request(
                link,
                callback=self.parse_page,
                errback=self.no_page,
                meta={"kind": "page", "asked": link, "level": depth, "linked_by": linked_by},
                priority=-depth,
            )

    def _collect(self, images: Iterable[Found], page_url: str, title: str) -> Iterator[Request]:
        for image in images:
            if self.job.listed is not None:
                if not self.job.collection.has(image.url):
                    self.job.listed(image, page_url)
                continue
            place = Place(page_url, title, image.alt, image.caption)
            if not self.job.collection.wants(image.url, place):
                continue
            yield Request(
                image.url,
                callback=self.keep_image,
                errback=self.no_image,
                headers=self.job.collection.conditions(image.url),
                meta={"kind": "image", "asked": image.url, "handle_httpstatus_list": [304]},
                priority=_IMAGES_FIRST,
                dont_filter=True,
            )

    def _may_be_taken(self, image: Found, page_url: str) -> bool:
        """Whether an image may be asked for; notes it if not."""
        place = Place(page_url, alt=image.alt, caption=image.caption)
        try:
            self.job.options.guard.check(image.url)
        except FetchRefusal as error:
            refused = refusal_of(error)
            self.job.collection.refuse_unasked(image.url, place, refused.reason, str(refused))
            return False
        if not self.job.bounds.image(image.url):
            what = "is not of this site"
            self.job.collection.refuse_unasked(image.url, place, Reason.OFF_SITE, what)
            return False
        return True

    async def _keep_linked(self, response: Response, said: Directives) -> None:
        """Stores an image that a link led to as if it were a page."""
        url = response.meta["asked"]
        place = Place(page_url=response.meta["linked_by"])
        if self.job.listed is not None:
            self.job.listed(Found(url), place.page_url)
        elif not said.images:
            self.job.collection.refuse_unasked(url, place, Reason.NOINDEX, _NOINDEX)
        elif self.job.bounds.image(response.url) and self.job.collection.wants(url, place):
            await self._keep(url, response)

    async def _keep(self, url: str, response: Response) -> None:
        names = ("Content-Type", "ETag", "Last-Modified")
        headers = {name: _header(response, name) for name in names}
        answer = Answer(response.body, response.url, headers)
        if not (self.job.options.max_images or self.job.options.max_bytes):
            await self.job.collection.keep(url, answer)
            return
        async with self._one_at_a_time:  # or several at once would go beyond the bound
            if self._stopped():
                self.job.collection.drop(url)
            else:
                await self.job.collection.keep(url, answer)
        if self._stopped():
            begin_nothing_more(self.crawler)
            raise CloseSpider("max images or bytes")

    def _stopped(self) -> bool:
        options, tally = self.job.options, self.job.collection.tally
        images = tally.stored + tally.duplicates
        return images >= options.max_images > 0 or tally.bytes >= options.max_bytes > 0


def _directives(response: Response) -> Directives:
    values = response.headers.getlist("X-Robots-Tag")
    return from_headers(value.decode("latin-1") for value in values)


def _header(response: Response, name: str) -> str:
    return (response.headers.get(name) or b"").decode("latin-1")
