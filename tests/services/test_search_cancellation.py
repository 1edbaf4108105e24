"""search_service leaves Elasticsearch when its callers leave; here, one that never answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from search_service.cluster import Cluster, connect
from search_service.metrics import Metrics
from search_service.settings import Settings
from service_kit import deadlines
from service_kit.errors import DeadlineError


class Silent:
    """Takes searches, and never answers.

    Attributes:
        asked: Searches that came.
        left: Searches whose connection was closed.
        url: Address.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.left = 0
        self.url = ""
        self.changed = asyncio.Condition()

    async def search(self, _request: web.Request) -> web.Response:
        self.asked += 1
        await self._tell()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.left += 1
            await self._tell()
            raise
        return web.Response()

    async def until(self, asked: int, left: int) -> None:
        async with self.changed, asyncio.timeout(30):
            await self.changed.wait_for(lambda: (self.asked, self.left) == (asked, left))

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()


@pytest.fixture
async def silent() -> AsyncIterator[Silent]:
    silent = Silent()
    app = web.Application()
    app.router.add_route("*", "/{index}/_search", silent.search)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    silent.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield silent
    await runner.cleanup()


@pytest.fixture
async def cluster(silent: Silent) -> AsyncIterator[Cluster]:
    client = connect(Settings(elasticsearch_url=silent.url), Metrics(CollectorRegistry()))
    yield Cluster(client, read_timeout_s=30, write_timeout_s=30)
    await client.close()


async def test_a_cancelled_search_closes_its_request(cluster: Cluster, silent: Silent) -> None:
    """Elasticsearch then gives the search up by itself."""
    deadlines.begin(None)
    searches = [asyncio.create_task(search(cluster)) for _ in range(5)]
    await silent.until(asked=5, left=0)

    for task in searches:
        task.cancel()

    await silent.until(asked=5, left=5)


async def test_a_search_ends_with_the_deadline(cluster: Cluster, silent: Silent) -> None:
    deadlines.begin(0.2)
    with pytest.raises(Exception, match="timed out"):
        await search(cluster)

    await silent.until(asked=1, left=1)


async def test_what_is_over_is_not_asked(cluster: Cluster, silent: Silent) -> None:
    deadlines.begin(0)

    with pytest.raises(DeadlineError):
        await search(cluster)

    assert silent.asked == 0


async def search(cluster: Cluster) -> None:
    await cluster.reading().search(index="i", body={"query": {"match_all": {}}})
