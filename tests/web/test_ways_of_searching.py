"""Every way to say what is looked for."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.async_api import expect

from tests.helpers import a_picture
from tests.web.conftest import Gallery, NewPage
from tests.web.steps import alike, best_is, drop, ids, paste, results

CAT = "photos/chelsea.jpg"


@pytest.mark.parametrize("text", ["three green rings", "三个绿色的圆环"])
async def test_by_text_while_it_is_typed(new_page: NewPage, text: str) -> None:
    page = await new_page()

    await page.locator("#q").press_sequentially(text, delay=5)

    assert len(await results(page)) > 5
    assert unquote(page.url).replace("+", " ").endswith(f"q={text}")


async def test_typing_is_one_step_of_the_history(new_page: NewPage) -> None:
    page = await new_page()
    await page.locator("#q").fill("red star")
    await results(page)
    await page.locator("#q").fill("red stars and moons")
    await expect(page).to_have_url(re.compile("moons"))

    await page.go_back()

    await expect(page.locator("#start")).to_be_visible()
    await expect(page.locator("#q")).to_have_value("")


async def test_by_a_file(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page()

    async with page.expect_file_chooser() as choosing:
        await page.locator("#pick-file").click()
    chooser = await choosing.value
    await chooser.set_files(
        {"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": gallery.files[CAT]}
    )

    await best_is(page, gallery.ids[CAT])
    assert f"term=image%3A{gallery.ids[CAT]}" in page.url  # the index has it: no need to keep it


async def test_by_a_drop_and_the_link_to_it_works_elsewhere(
    new_page: NewPage, gallery: Gallery
) -> None:
    page = await new_page()
    await drop(page, "new.png", a_picture(7, 300, "PNG"), "image/png")
    found = await results(page)
    assert "term=upload%3A" in page.url

    other = await new_page(page.url)

    assert found == await results(other)
    await expect(other.locator(".card img")).to_be_visible()


async def test_by_paste(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page()

    await paste(page, "cat.jpg", gallery.files[CAT], "image/jpeg")

    await best_is(page, gallery.ids[CAT])


async def test_by_the_camera(new_page: NewPage) -> None:
    page = await new_page()

    await page.locator("#open-camera").click()
    await page.locator("#camera-take").click()

    assert await results(page)
    await expect(page.locator(".card img")).to_be_visible()
    await expect(page.locator("#camera")).to_be_hidden()


@pytest.fixture
def web_server(tmp_path: Path, gallery: Gallery) -> Iterator[str]:
    """Another server, with a picture."""
    (tmp_path / "cat.jpg").write_bytes(gallery.files[CAT])
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


async def test_by_an_address(new_page: NewPage, gallery: Gallery, web_server: str) -> None:
    page = await new_page()

    await page.locator("#open-url").click()
    await page.locator("#url").fill(f"{web_server}/cat.jpg")
    await page.keyboard.press("Enter")

    await best_is(page, gallery.ids[CAT])


async def test_by_a_result(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT))
    second = (await results(page))[1]

    await page.locator(f"[data-id='{second}'] a").click()

    await best_is(page, second)
    await page.go_back()
    await best_is(page, gallery.ids[CAT])


async def test_a_newer_search_ends_an_older_one(new_page: NewPage) -> None:
    """However late the older answer would come, the newer one is shown."""
    page = await new_page()
    first = True

    async def slowly(route: object) -> None:
        nonlocal first
        was_first, first = first, False
        await asyncio.sleep(1.0 if was_first else 0)
        await route.continue_()  # type: ignore[attr-defined]

    await page.route("**/api/v1/search", slowly)
    await page.locator("#q").fill("one blue square")
    await page.wait_for_timeout(400)
    await page.locator("#q").fill("two red moons")
    await expect(page).to_have_url(re.compile("moons"))
    found = await results(page)
    await page.wait_for_timeout(900)

    assert found == await ids(page)
    await page.unroute_all()
    again = await new_page("/?q=two+red+moons")
    assert found[:10] == (await results(again))[:10]
