"""The page's first view and first results in Chromium: bytes, requests, time to paint.

A gateway, the page's server and a browser on this machine; nothing is in the browser's cache.
"""

import asyncio
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from benchmarks.report import Bar, Report, parser
from benchmarks.servers import (
    elasticsearch,
    free_port,
    serving_embedder,
    serving_gateway,
    serving_search,
)
from imagesearch_dev import models, samples
from imagesearch_dev.processes import Process
from service_kit.client import channel

BEYOND_GATEWAY_MS = 300.0
RUNS, QUICK_RUNS = 15, 5

# When the first thumbnail of the results was painted, by the browser's own clock.
_PAINTED = """
() => new Promise((resolve) => {
    const poll = () => {
        const image = document.querySelector("#results .tile img");
        if (image?.complete && image.naturalWidth) {
            requestAnimationFrame(() => resolve(performance.now()));
        } else setTimeout(poll, 2);
    };
    poll();
})
"""

# Resources with their sizes as sent, and the navigation itself.
_LOADED = """
() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .map((e) => ({ name: new URL(e.name).pathname, bytes: e.transferSize, ms: e.duration }))
"""

_PAINTS = """
() => Object.fromEntries(performance.getEntriesByType("paint").map((e) => [e.name, e.startTime]))
"""


async def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark."""
    options = parser("page", __doc__).parse_args(arguments)
    report = Report("page", options.quick)
    runs = QUICK_RUNS if options.quick else RUNS
    async with serving_page() as (address, ids), launched() as browser:
        await first_view(report, browser, address)
        await first_results(report, browser, address, ids, runs)
    report.write(options.json)


async def first_view(report: Report, browser: Any, address: str) -> None:
    """What the empty page costs somebody who has never been there."""
    page = await browser.new_page()
    await page.goto(address)
    await page.wait_for_load_state("networkidle")
    loaded = await page.evaluate(_LOADED)
    code = [each for each in loaded if "/api/" not in each["name"]]
    paints = await page.evaluate(_PAINTS)
    report.note("requests of the page itself", len(code))
    report.note("kB of the page itself, as sent", sum(each["bytes"] for each in code) / 1000)
    report.note("requests with thumbnails and API", len(loaded))
    report.note("kB with thumbnails and API", sum(each["bytes"] for each in loaded) / 1000)
    report.note("first contentful paint, ms", paints.get("first-contentful-paint", 0.0))
    await page.close()


async def first_results(
    report: Report, browser: Any, address: str, ids: list[str], runs: int
) -> None:
    """From opening a link to a search, with an empty cache, to its first painted thumbnail."""
    painted, searched = [], []
    for number in range(runs):
        context = await browser.new_context(viewport={"width": 1360, "height": 860})
        page = await context.new_page()
        await page.goto(f"{address}/?term=image:{ids[number % len(ids)]}", wait_until="commit")
        painted.append(float(await page.evaluate(_PAINTED)))
        loaded = await page.evaluate(_LOADED)
        searched.append(next(e["ms"] for e in loaded if e["name"].endswith("/search")))
        await context.close()
    beyond = [all_of_it - search for all_of_it, search in zip(painted, searched, strict=True)]
    report.note("link to first thumbnail painted, ms (median)", statistics.median(painted))
    report.note("of it the search, ms (median)", statistics.median(searched))
    bar = Bar(
        "first results painted, ms beyond the search (median)",
        statistics.median(beyond),
        BEYOND_GATEWAY_MS,
        at_least=False,
        note="empty cache, this machine",
    )
    report.add(bar)


@contextlib.asynccontextmanager
async def launched() -> AsyncIterator[Any]:
    """Runs a Chromium."""
    from playwright.async_api import async_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise SystemExit("there is no chromium; name one with CHROMIUM")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    async with async_playwright() as started:
        browser = await started.chromium.launch(executable_path=path, args=flags)
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def serving_page() -> AsyncIterator[tuple[str, list[str]]]:
    """Runs all of it with the sample pictures; gives the page's address and ids of pictures."""
    with tempfile.TemporaryDirectory() as name, elasticsearch("512m") as url:
        folder = Path(name)
        made = samples.ensure(folder / "samples")
        pictures = sorted([*made.rglob("*.png"), *made.rglob("*.jpg")])
        async with (
            serving_embedder(Path(models.TINY.image), Path(models.TINY.text), "float32") as (
                embedder,
                _,
            ),
            serving_search(url) as search,
            serving_gateway(embedder, search, folder) as (gateway, _),
        ):
            ids = await _index(gateway, pictures)
            address = f"127.0.0.1:{free_port()}"
            process = Process(
                "web",
                [sys.executable, "-m", "imagesearch_web"],
                log=folder / "web.log",
                env={
                    "WEB_LISTEN": address,
                    "WEB_GATEWAY": gateway,
                    "WEB_QUERY_FOLDER": str(folder / "queries"),
                    "WEB_LOG_LEVEL": "WARNING",
                },
            )
            process.start()
            try:
                await _answering(f"http://{address}/readyz")
                yield f"http://{address}", ids
            finally:
                process.stop()


async def _index(gateway: str, files: list[Path]) -> list[str]:
    """Stores pictures; gives their ids."""

    async def uploads() -> AsyncIterator[pb.IndexImagesRequest]:
        for path in files:
            image = pb.ImageUpload(content=path.read_bytes(), relative_path=path.name)
            yield pb.IndexImagesRequest(request_id=path.name, image=image)

    async with channel(gateway, max_message_bytes=32 * 1024 * 1024) as opened:
        stub: Any = pb_grpc.ImageSearchServiceStub(opened)
        answers = [answer async for answer in stub.IndexImages(uploads(), timeout=300)]
    return [answer.indexed.image_id for answer in answers if answer.HasField("indexed")]


async def _answering(url: str) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(300):
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.1)
    raise SystemExit("the page does not come up")


if __name__ == "__main__":
    asyncio.run(main())
