"""What goes wrong is said to a person, in words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import expect

import imagesearch_web.server
import imagesearch_web.settings
from tests.helpers import image_id
from tests.web.conftest import Gallery, NewPage
from tests.web.steps import TILES, alike, drop, results

CAT = "photos/chelsea.jpg"


async def test_a_file_that_is_no_picture(new_page: NewPage) -> None:
    page = await new_page(foreseen=("status of 400",))

    await drop(page, "broken.jpg", b"\xff\xd8\xff\xe0 broken", "image/jpeg")

    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("no picture that can be read")
    await expect(page.locator("#start")).to_be_visible()


async def test_a_file_that_is_too_large_is_not_even_sent(new_page: NewPage) -> None:
    page = await new_page()
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request) if request.method == "POST" else None)
    await page.wait_for_load_state("networkidle")
    asked.clear()

    await page.evaluate(
        """() => {
            const clipboardData = new DataTransfer();
            const bytes = new Uint8Array(20 * 1024 * 1024 + 1);
            clipboardData.items.add(new File([bytes], "large.jpg", { type: "image/jpeg" }));
            const event = new ClipboardEvent("paste", { clipboardData, bubbles: true });
            document.body.dispatchEvent(event);
        }"""
    )

    await expect(page.get_by_role("alert")).to_contain_text("too large")
    assert not asked


async def test_an_address_that_must_not_be_fetched(new_page: NewPage) -> None:
    page = await new_page("/?term=url:http://10.0.0.1/cat.jpg", foreseen=("status of 403",))

    await expect(page.get_by_role("alert")).to_contain_text("may not fetch")


async def test_a_picture_that_is_not_kept_any_more(new_page: NewPage) -> None:
    page = await new_page(f"/?term=upload:{image_id('lost')}", foreseen=("status of 404",))

    await expect(page.get_by_role("alert")).to_contain_text("no longer has this picture")
    await expect(page.locator(".card-lost")).to_be_visible()


async def test_a_link_to_a_picture_that_was_deleted(new_page: NewPage, gallery: Gallery) -> None:
    path = f"{alike(gallery, CAT)}&show={image_id('deleted')}"
    page = await new_page(path, foreseen=("status of 404",))

    await expect(page.locator("#detail-panel")).to_contain_text("not in the collection any more")


async def test_the_server_is_away_and_comes_back(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT), foreseen=("ERR_CONNECTION",))
    await results(page)
    await page.route("**/api/v1/search", lambda route: route.abort("connectionrefused"))

    await page.locator("#q").fill("red star")

    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("does not answer")
    await page.unroute_all()
    await alert.get_by_role("button", name="Try again").click()
    await results(page)
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_the_gateway_is_away(
    new_page: NewPage, free_port: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = imagesearch_web.settings.Settings(
        listen="127.0.0.1:0",
        gateway=f"127.0.0.1:{free_port}",
        query_folder=tmp_path_factory.mktemp("away"),
        call_timeout_s=2,
        grace_s=1,
    )
    async with imagesearch_web.server.running(settings) as port:
        page = await new_page(foreseen=("status of 50", "another server"))
        alone = await page.context.new_page()
        await alone.goto(f"http://127.0.0.1:{port}/?q=cat")

        await expect(alone.get_by_role("alert")).to_contain_text(
            re.compile("part of the server is away|too long")
        )


async def test_a_page_that_fails_can_be_asked_for_again(
    new_page: NewPage, gallery: Gallery
) -> None:
    page = await new_page(alike(gallery, CAT) + "&fold=0", foreseen=("status of 503",))
    body = '{"status": 503, "reason": "UNAVAILABLE", "detail": "gone"}'
    failing = {"status": 503, "content_type": "application/problem+json", "body": body}

    async def fail_further_pages(route: Any) -> None:
        if "page_token" in (route.request.post_data or ""):
            await route.fulfill(**failing)
        else:
            await route.continue_()

    await page.route("**/api/v1/search", fail_further_pages)
    await page.reload()
    first = await results(page)
    await page.mouse.wheel(0, 9000)
    alert = page.locator("#notice-below").get_by_role("alert")
    await expect(alert).to_contain_text("A part of the server is away")
    await page.unroute_all()

    await alert.get_by_role("button", name="Try again").click()

    await expect(page.locator(TILES)).not_to_have_count(len(first))


@pytest.mark.parametrize(
    "query", ["?term=nonsense", "?term=image;box=9,9,9,9:", "?relevance=x&size=y"]
)
async def test_an_address_that_makes_no_sense_is_read_as_far_as_it_does(
    new_page: NewPage, query: str
) -> None:
    page = await new_page(f"/{query}")

    await expect(page.locator("#start")).to_be_visible()
