"""The page in a real browser, on the real server and all that is behind it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from PIL import Image

import gateway.server
import gateway.settings
import imagesearch_web.server
import imagesearch_web.settings
from imagesearch_dev import samples
from imagesearch_dev.augment import VERSIONS
from tests.helpers import a_picture, each, encoded
from tests.web.watch import Watch

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub
    from playwright.async_api import Browser, BrowserContext, Page

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)

DRAWINGS = 60
DESKTOP = {"width": 1360, "height": 860}
PHONE = {"width": 390, "height": 844}


def chromium() -> str | None:
    """A Chromium: the one of CHROMIUM, or one that is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = (shutil.which(name) for name in names)
    return os.environ.get("CHROMIUM") or next((path for path in found if path), None)


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("NO CHROMIUM: THE PAGE IS NOT TESTED. Install one, or name one with CHROMIUM=")
    playwright = pytest.importorskip("playwright.async_api")
    playwright.expect.set_options(timeout=20_000)  # for a machine that does other things, too
    async with playwright.async_playwright() as started:
        launched = await started.chromium.launch(executable_path=path, args=list(FLAGS))
        yield launched
        await launched.close()


@pytest.fixture(scope="package")
async def web_gateway(
    embedder_address: str, search_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """A gateway that fetches from this machine."""
    settings = gateway.settings.Settings(
        listen="127.0.0.1:0",
        embedder=embedder_address,
        search=search_address,
        store_url=tmp_path_factory.mktemp("web-store").as_uri(),
        allow_url_fetch=True,
        fetch_ports=tuple(range(1024, 65536)),
        fetch_allowed_networks=("127.0.0.1/32",),
        grace_s=1,
    )
    async with gateway.server.running(settings) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="package")
async def gallery(
    web_gateway: str, index_of_drawings: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gallery]:
    """The page over an index with photos, versions of them, and drawings."""
    from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

    from service_kit.client import channel

    made = Gallery(f"{index_of_drawings}-page")
    async with channel(web_gateway) as opened:
        stub: Any = pb_grpc.ImageSearchServiceStub(opened)
        await made.fill(stub)
    settings = imagesearch_web.settings.Settings(
        listen="127.0.0.1:0",
        gateway=web_gateway,
        index=made.index,
        query_folder=tmp_path_factory.mktemp("queries"),
        grace_s=1,
    )
    async with imagesearch_web.server.running(settings) as port:
        made.address = f"http://127.0.0.1:{port}"
        yield made


class Gallery:
    """What the page shows.

    Attributes:
        index: Its name.
        address: Of the page.
        ids: Of the images, by path.
        files: Their bytes, by path.
    """

    def __init__(self, index: str) -> None:
        self.index = index
        self.address = ""
        self.ids: dict[str, str] = {}
        self.files: dict[str, bytes] = {}

    async def fill(self, stub: ImageSearchServiceAsyncStub) -> None:
        """Indexes the images."""
        requests = []
        for path, data, tags in self._pictures():
            self.files[path] = data
            self.ids[path] = hashlib.sha256(data).hexdigest()
            image = pb.ImageUpload(
                content=data,
                relative_path=path,
                tags=tags,
                url=f"https://photos.example/{path}",
                page_url="https://photos.example/",
            )
            requests.append(pb.IndexImagesRequest(request_id=path, index=self.index, image=image))
        answers = [answer async for answer in stub.IndexImages(each(requests), timeout=90)]
        assert not [answer for answer in answers if answer.HasField("error")]

    def _pictures(self) -> list[tuple[str, bytes, list[str]]]:
        made = []
        for name, photo in samples.photos().items():
            stem = Path(name).stem
            image = photo.copy()
            image.thumbnail((1024, 1024))
            made.append((f"photos/{stem}.jpg", _jpeg(image), ["photo", stem]))
            if name in ("chelsea.png", "coffee.png", "china.jpg", "flower.jpg"):
                for kind in ("half", "crop", "watermark"):
                    version = VERSIONS[kind](image)
                    made.append((f"versions/{stem}-{kind}.jpg", _jpeg(version), ["version"]))
        drawings = range(DRAWINGS)
        return made + [(f"drawings/{n:02}.png", a_picture(n, 240), ["drawing"]) for n in drawings]


def _jpeg(image: Image.Image) -> bytes:
    return encoded(image.convert("RGB"), "JPEG", quality=88)


NewPage = Callable[..., Awaitable["Page"]]


@pytest.fixture
async def new_page(browser: Browser, gallery: Gallery) -> AsyncIterator[NewPage]:
    """Opens pages that are watched: at the end none may have had an error that was not foreseen."""
    contexts: list[BrowserContext] = []
    watched: list[Watch] = []

    async def opened(path: str = "/", foreseen: tuple[str, ...] = (), **options: Any) -> Page:
        options = {"viewport": DESKTOP, "locale": "en-GB", **options}
        context = await browser.new_context(base_url=gallery.address, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = await context.new_page()
        watched.append(Watch(page, gallery.address, foreseen))
        await page.goto(path)
        await page.wait_for_selector("html:not(.is-booting)")
        return page

    yield opened
    for context in contexts:
        await context.close()
    for watch in watched:
        watch.check()
