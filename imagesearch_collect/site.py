"""`collect site`: runs the spider on the event loop of its caller."""

import asyncio
from typing import Any

from scrapy import signals
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from twisted.python.failure import Failure

from fetch_kit.bodies import ENCODINGS
from fetch_kit.following import MAX_REDIRECTS
from imagesearch_collect.robots_directives import AGENT
from imagesearch_collect.scrapy_manners import begin_nothing_more
from imagesearch_collect.site_job import SiteJob, SiteOptions
from imagesearch_collect.spider import SiteSpider

_OURS = "imagesearch_collect"


def scrapy_settings(options: SiteOptions) -> dict[str, Any]:
    """What Scrapy is told."""
    scrapys = "scrapy.downloadermiddlewares"
    return {
        "TWISTED_REACTOR_ENABLED": False,
        "USER_AGENT": options.user_agent,
        "ROBOTSTXT_OBEY": True,
        "ROBOTSTXT_USER_AGENT": AGENT,
        # Every connection is made by the guarded handler; no other scheme has one.
        "DOWNLOAD_HANDLERS": {
            **{scheme: f"{_OURS}.scrapy_download.GuardedDownloadHandler" for scheme in _SCHEMES},
            **dict.fromkeys(("data", "file", "ftp", "s3")),
        },
        "DOWNLOADER_MIDDLEWARES": {
            f"{_OURS}.scrapy_manners.BoundsMiddleware": 50,
            f"{scrapys}.robotstxt.RobotsTxtMiddleware": None,
            f"{_OURS}.scrapy_manners.RobotsMiddleware": 100,
            f"{_OURS}.scrapy_manners.SlowDownMiddleware": 610,  # sees answers before retries
        },
        # Too deep and too long are our own to say; each page's images count as of its depth.
        "SPIDER_MIDDLEWARES": {
            "scrapy.spidermiddlewares.depth.DepthMiddleware": None,
            "scrapy.spidermiddlewares.urllength.UrlLengthMiddleware": None,
        },
        "DEFAULT_REQUEST_HEADERS": {
            "Accept": "text/html,application/xhtml+xml,image/*;q=0.9,*/*;q=0.5",
            "Accept-Encoding": ENCODINGS,
        },
        "REFERRER_POLICY": "strict-origin-when-cross-origin",
        "COMPRESSION_ENABLED": False,  # the handler unpacks, within its bound
        "COOKIES_ENABLED": False,
        "HTTPPROXY_ENABLED": False,
        "REDIRECT_MAX_TIMES": MAX_REDIRECTS,
        "RETRY_TIMES": options.retries,
        "DOWNLOAD_TIMEOUT": options.timeout_s,
        "DOWNLOAD_DELAY": options.delay_s,
        # Nothing is begun while answers wait to be stored: no more than CONCURRENT_REQUESTS
        # images are ever in memory, or lost to a kill and fetched again.
        "SCRAPER_SLOT_MAX_ACTIVE_SIZE": 1,
        "CONCURRENT_REQUESTS": options.concurrency,
        "CONCURRENT_REQUESTS_PER_DOMAIN": options.per_host,
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": options.delay_s,
        "AUTOTHROTTLE_MAX_DELAY": 60.0,
        "AUTOTHROTTLE_TARGET_CONCURRENCY": options.per_host,
        "LOGSTATS_INTERVAL": 0,
        "MEMUSAGE_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
    }


_SCHEMES = ("http", "https")


class SiteCrawl:
    """One crawl. `run` it; `stop` it from elsewhere."""

    def __init__(self, job: SiteJob) -> None:
        self._job = job
        self._failures: list[BaseException] = []
        runner = AsyncCrawlerRunner(scrapy_settings(job.options))
        self._crawler: Crawler = runner.create_crawler(SiteSpider)
        self._crawler.signals.connect(self._failed, signals.spider_error)

    async def run(self) -> str:
        """Crawls to the end, which it gives: "finished", or what stopped it.

        What was not finished goes on with the next crawl into the same folder.
        """
        seconds = self._job.options.max_seconds
        crawl = asyncio.ensure_future(self._crawler.crawl_async(job=self._job))
        try:
            done, _ = await asyncio.wait({crawl}, timeout=seconds or None)
            if not done:
                await self.stop()
            await crawl
        finally:
            crawl.cancel()
        if self._failures:
            raise self._failures[0]
        spider = self._crawler.spider
        assert isinstance(spider, SiteSpider)
        end = spider.end
        if end in ("finished", "shutdown") and self._job.stopping:
            end = "shutdown" if done else "max time"
        if end == "finished" and self._job.listed is None:
            self._job.log.finish()
        return end

    async def stop(self) -> None:
        """Begins nothing more; ends when what is in flight has come."""
        self._job.stopping = True
        if self._crawler.crawling:
            begin_nothing_more(self._crawler)
        await self._crawler.stop_async()

    def _failed(self, failure: Failure) -> None:
        """An exception in the spider: a bug, not to be lost in a log."""
        if failure.value is not None:
            self._failures.append(failure.value)
