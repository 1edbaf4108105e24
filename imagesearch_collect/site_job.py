"""All that a crawl is told, and what it shares with those who watch it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fetch_kit.guard import Guard
from imagesearch_collect.bounds import Bounds, Scope
from imagesearch_collect.collection import Collection
from imagesearch_collect.page import Found
from imagesearch_collect.page_log import PageLog

MAX_PAGE_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class SiteOptions:
    """What is crawled, how far, and how gently.

    Attributes:
        seeds: Where it begins.
        guard: Where it may connect to.
        user_agent: How it introduces itself.
        max_depth: Most links between a seed and a page.
        max_pages: Most pages read.
        max_images: Most images fetched; 0: any number.
        max_bytes: Most bytes of images fetched; 0: any number.
        max_seconds: Longest time; 0: any.
        pages: How far pages may be from a seed.
        images: How far images may be from a seed.
        domains: Further domains that are taken for the site.
        exclude: URLs in which one of these is found are left out.
        concurrency: Most requests at a time.
        per_host: Requests to one host at a time that are aimed at.
        delay_s: Least time between two requests to one host.
        timeout_s: Longest for one request.
        retries: How often a request that failed in passing is tried again.
    """

    seeds: Sequence[str]
    guard: Guard
    user_agent: str
    max_depth: int = 5
    max_pages: int = 10_000
    max_images: int = 0
    max_bytes: int = 0
    max_seconds: float = 0
    pages: Scope = "site"
    images: Scope = "site"
    domains: Sequence[str] = ()
    exclude: Sequence[re.Pattern[str]] = ()
    concurrency: int = 16
    per_host: int = 4
    delay_s: float = 0.25
    timeout_s: float = 30.0
    retries: int = 2


@dataclass
class SiteJob:
    """A crawl that is under way.

    Attributes:
        options: What it is told.
        collection: Where images go.
        log: Pages that were read.
        listed: Where given, images are not fetched but told to this, with their page's URL.
        stopping: Nothing more is begun.
    """

    options: SiteOptions
    collection: Collection
    log: PageLog
    listed: Callable[[Found, str], None] | None = None
    stopping: bool = False
    bounds: Bounds = field(init=False)

    def __post_init__(self) -> None:
        self.bounds = Bounds(
            self.options.seeds,
            pages=self.options.pages,
            images=self.options.images,
            domains=self.options.domains,
            exclude=self.options.exclude,
        )
