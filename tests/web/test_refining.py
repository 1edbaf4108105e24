"""Parts of pictures, several terms, filters: what makes a search better."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.helpers import a_picture
from tests.web.conftest import Gallery, NewPage
from tests.web.steps import TILES, alike, best_is, drag, drop, results

CAT = "photos/chelsea.jpg"


async def test_a_box_on_the_query_searches_by_the_part(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT))
    whole = await results(page)
    asked: list[dict[str, object]] = []
    page.on("request", lambda r: asked.append(r.post_data_json) if "search" in r.url else None)

    await drag(page, ".card .region", (0.3, 0.2), (0.8, 0.7))

    await expect(page).to_have_url(re.compile(r"box%3D0\.3%2C0\.2%2C0\.[78]\d*%2C0\.[67]\d*"))
    box = asked[0]["terms"][0]["region"]["box"]  # type: ignore[index]
    assert abs(box["left"] - 0.3) < 0.02
    assert abs(box["bottom"] - 0.7) < 0.02
    part = await results(page)
    assert part != whole
    await page.get_by_role("button", name="Whole picture").click()
    await expect(page).not_to_have_url(re.compile("box"))
    assert whole == await results(page)


async def test_a_box_is_moved_resized_and_taken_away(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(f"/?term=image;box=0.2,0.2,0.6,0.6:{gallery.ids[CAT]}")
    await results(page)

    await drag(page, ".region-box", (0.5, 0.5), (0.75, 0.5))
    await expect(page).to_have_url(re.compile(r"box%3D0\.3\d*%2C0\.2\d*%2C0\.7"))
    await drag(page, ".corner.se", (0.5, 0.5), (3.5, 3.5))
    await expect(page).to_have_url(re.compile(r"box%3D0\.3\d*%2C0\.2\d*%2C0\.[89]"))
    await page.locator(".region-box").focus()
    await page.keyboard.press("Escape")

    await expect(page).not_to_have_url(re.compile("box"))


async def test_like_this_but(new_page: NewPage, gallery: Gallery) -> None:
    """A text beside a picture, and one that must not be, with weights."""
    page = await new_page(alike(gallery, CAT))
    alone = await results(page)

    await page.locator("#q").fill("two red stars")
    await page.keyboard.press("Enter")
    await expect(page.locator(".card")).to_have_count(1)
    await page.get_by_label("but not …").fill("green background")
    await page.keyboard.press("Enter")

    await expect(page.locator(".chip.is-unlike")).to_contain_text("green background")
    assert "term=text%3Bw%3D-0.5%3Agreen+background" in page.url
    composed = await results(page)
    assert alone != composed
    await page.locator(".chip .weight").fill("1.5")
    await expect(page).to_have_url(re.compile(r"w%3D-1\.5"))
    await page.locator(".chip .like-switch").click()
    await expect(page.locator(".chip.is-unlike")).to_have_count(0)
    await page.locator(".chip").get_by_label("Remove").click()
    await expect(page.locator(".chip")).to_have_count(0)


async def test_more_and_less_like_a_result(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT))
    other = (await results(page))[12]
    tile = page.locator(f"{TILES}[data-id='{other}']")

    await tile.hover()
    await tile.get_by_label("More like this").click()

    await expect(page.locator(".card")).to_have_count(2)
    assert (await results(page)).index(other) < 12
    await tile.hover()
    await tile.get_by_label("Less like this").click()
    await expect(page.locator(".card.is-unlike")).to_have_count(1)
    await best_is(page, gallery.ids[CAT])


async def test_a_picture_is_dropped_beside_another(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT))
    await results(page)

    target = ".drop-target[data-how='unlike']"
    await drop(page, "other.png", a_picture(3, 300), "image/png", target)

    await expect(page.locator(".card.is-unlike")).to_have_count(1)
    await expect(page.locator(".card")).to_have_count(2)


async def test_facets_filter(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT))
    await results(page)

    await page.get_by_role("button", name="Format").click()
    png = page.locator("#format-values .choice", has_text="PNG")
    await expect(png.locator(".choice-count")).to_have_text("60")
    await png.locator("input").check()

    drawings = {gallery.ids[path] for path in gallery.ids if path.startswith("drawings")}
    await expect(page).to_have_url(re.compile("format=PNG"))
    await expect(page.locator(f"{TILES}[data-id='{gallery.ids[CAT]}']")).to_have_count(0)
    assert set(await results(page)) <= drawings
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Clear filters").click()
    await best_is(page, gallery.ids[CAT])


async def test_filters_by_tag_size_date_and_source(new_page: NewPage, gallery: Gallery) -> None:
    photos = {gallery.ids[path] for path in gallery.ids if path.startswith("photos")}
    versions = {gallery.ids[path] for path in gallery.ids if path.startswith("versions")}
    page = await new_page(alike(gallery, CAT) + "&fold=0")
    await results(page)

    await page.get_by_role("button", name="Tags").click()
    await page.locator("#tag").fill("version")
    await page.keyboard.press("Enter")
    await expect(page.locator(TILES)).to_have_count(len(versions))
    assert versions == set(await results(page))
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Clear filters").click()

    await page.get_by_role("button", name="Size").click()
    await page.get_by_label("Small").check()
    await expect(page).to_have_url(re.compile("size=small"))
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Clear filters").click()

    await page.get_by_role("button", name="Source").click()
    await page.locator("#source").fill("https://photos.example/photos/")
    await page.keyboard.press("Enter")
    await expect(page.locator(TILES)).to_have_count(len(photos))
    assert photos == set(await results(page))

    await page.get_by_role("button", name="Date").click()
    await page.get_by_label("Added").check()
    await page.locator("#to").fill("2001-01-01")
    await page.locator("#to").press("Enter")
    await expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()


async def test_the_relevance_slider_keeps_what_stands_out(
    new_page: NewPage, gallery: Gallery
) -> None:
    page = await new_page(alike(gallery, CAT))
    all_of_them = await results(page)

    await page.locator("#relevance").fill("0.6")

    await expect(page).to_have_url(re.compile(r"relevance=0\.6"))
    await expect(page.locator(TILES)).not_to_have_count(len(all_of_them))
    few = await results(page)
    assert 0 < len(few) < len(all_of_them)
    assert gallery.ids[CAT] == few[0]


async def test_near_identical_pictures_are_folded(new_page: NewPage, gallery: Gallery) -> None:
    half = gallery.ids["versions/chelsea-half.jpg"]
    page = await new_page(alike(gallery, CAT))
    assert half not in await results(page)

    badge = page.locator(f"{TILES}[data-id='{gallery.ids[CAT]}'] .fold")
    await expect(badge).to_have_text(re.compile(r"\+\d"))
    await badge.click()
    await expect(page.locator(f"#panel-folded [data-id='{half}']")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_label("Fold near-identical").uncheck()

    await expect(page.locator(f"{TILES}[data-id='{half}']")).to_be_attached()
