"""One picture, large: facts, versions, what it is."""

from __future__ import annotations

import hashlib
import re

from playwright.async_api import expect

from tests.helpers import a_picture
from tests.web.conftest import Gallery, NewPage
from tests.web.steps import TILES, alike, best_is, drag, drop, results

CAT = "photos/chelsea.jpg"


async def test_a_result_is_shown_with_what_is_known_of_it(
    new_page: NewPage, gallery: Gallery
) -> None:
    page = await new_page(alike(gallery, CAT))
    await results(page)

    tile = page.locator(f"{TILES}[data-id='{gallery.ids[CAT]}']")
    await tile.hover()
    await tile.get_by_label("Details").click()

    facts = page.locator("#panel-about")
    await expect(page.locator("#detail-title")).to_have_text("chelsea.jpg")
    await expect(facts).to_contain_text("451 × 300")
    await expect(facts).to_contain_text("JPEG")
    await expect(facts).to_contain_text(gallery.ids[CAT])
    source = facts.get_by_role("link", name="photos.example/")
    await expect(source).to_have_attribute("rel", re.compile("noreferrer"))
    await facts.get_by_role("link", name="photo", exact=True).click()
    await expect(page).to_have_url(re.compile("tag=photo"))
    await expect(page.locator("#detail")).to_be_hidden()


async def test_a_link_to_a_picture_opens_it_and_back_closes_it(
    new_page: NewPage, gallery: Gallery
) -> None:
    page = await new_page(alike(gallery, CAT))
    second = (await results(page))[1]
    await page.locator(f"{TILES}[data-id='{second}']").hover()
    await page.locator(f"{TILES}[data-id='{second}']").get_by_label("Details").click()
    await expect(page.locator("#detail")).to_be_visible()

    other = await new_page(page.url)
    await expect(other.locator("#detail-title")).not_to_be_empty()
    await page.go_back()

    await expect(page.locator("#detail")).to_be_hidden()
    await other.keyboard.press("Escape")
    await expect(other.locator("#detail")).to_be_hidden()
    await expect(other).not_to_have_url(re.compile("show="))


async def test_arrows_go_through_the_results(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT))
    found = await results(page)
    await page.locator(f"{TILES} a").first.focus()
    await page.keyboard.press("i")
    await expect(page.locator("#detail")).to_be_visible()

    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await expect(page).to_have_url(re.compile(f"show={found[2]}"))
    await page.keyboard.press("ArrowLeft")
    await expect(page).to_have_url(re.compile(f"show={found[1]}"))
    await page.keyboard.press("Escape")

    await expect(page.locator(f"{TILES}[data-id='{found[1]}'] a")).to_be_focused()


async def test_the_original_is_downloaded_as_it_was_stored(
    new_page: NewPage, gallery: Gallery
) -> None:
    page = await new_page(f"{alike(gallery, CAT)}&show={gallery.ids[CAT]}")

    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download").click()

    download = await downloading.value
    path = await download.path()
    assert download.suggested_filename == "chelsea.jpg"
    assert gallery.ids[CAT] == hashlib.sha256(path.read_bytes()).hexdigest()


async def test_the_id_is_copied(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(
        f"{alike(gallery, CAT)}&show={gallery.ids[CAT]}",
        permissions=["clipboard-read", "clipboard-write"],
    )

    await page.get_by_role("button", name="Copy id").click()

    await expect(page.get_by_text("The id is copied.")).to_be_visible()
    assert gallery.ids[CAT] == await page.evaluate("navigator.clipboard.readText()")


async def test_a_part_of_a_result_is_searched_by(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(f"{alike(gallery, CAT)}&show={gallery.ids[CAT]}")
    await expect(page.locator("#detail-stage img")).to_be_visible()

    await drag(page, "#detail-stage .region", (0.2, 0.2), (0.7, 0.8))

    await expect(page).to_have_url(re.compile("box%3D0.2"))
    await expect(page.locator("#detail")).to_be_hidden()
    await results(page)


async def test_versions_with_their_relation_and_a_comparison(
    new_page: NewPage, gallery: Gallery
) -> None:
    page = await new_page(f"{alike(gallery, CAT)}&show={gallery.ids[CAT]}&tab=versions")

    versions = page.locator(".version")
    await expect(versions).to_have_count(3)
    await expect(page.locator(".versions")).to_contain_text("A part of it")
    await expect(page.locator(".versions")).to_contain_text("Something put over it")
    await expect(page.locator(".versions")).to_contain_text("Another size")
    await versions.filter(has_text="A part of it").first.click()

    slider = page.get_by_role("slider", name="How much of each is seen")
    await slider.fill("20")
    cut = await page.eval_on_selector(".over", "e => e.style.getPropertyValue('--cut')")
    assert cut == "20%"
    # The part lies over the place in the whole that it was cut from.
    laid = await page.locator(".over-cut img").bounding_box()
    whole = await page.locator(".over").bounding_box()
    assert laid is not None
    assert whole is not None
    assert 0.5 < laid["width"] / whole["width"] < 0.95
    assert laid["x"] > whole["x"] + 5

    await page.get_by_role("tab", name="Side by side").click()
    await expect(page.locator(".box.is-shared")).to_have_count(2)
    await versions.filter(has_text="Something put over it").first.click()
    await page.get_by_role("tab", name="Side by side").click()
    await expect(page.locator(".box.is-changed").first).to_be_visible()
    await page.get_by_role("button", name="Close the comparison").click()
    await expect(page.locator(".compare")).to_be_hidden()


async def test_versions_of_a_picture_that_is_not_stored(
    new_page: NewPage, gallery: Gallery
) -> None:
    page = await new_page()
    await drop(page, "cat.png", _as_png(gallery.files[CAT]), "image/png")
    await best_is(page, gallery.ids[CAT])

    await page.locator(".card").get_by_label("Versions, and what it is").click()

    await expect(page.locator(".version").first).to_be_visible()
    await expect(page.locator(".versions")).to_contain_text("chelsea.jpg")


def _as_png(data: bytes) -> bytes:
    import io

    from PIL import Image

    from tests.helpers import encoded

    return encoded(Image.open(io.BytesIO(data)), "PNG")


async def test_what_it_is_by_words_and_by_neighbors(new_page: NewPage, gallery: Gallery) -> None:
    drawing = gallery.ids["drawings/03.png"]
    page = await new_page(f"/?term=image:{drawing}&show={drawing}&tab=what")
    panel = page.locator("#panel-what")

    await expect(panel.locator(".what-answer .bar").first).to_be_visible()
    await expect(panel.locator("section").nth(1).locator(".bar").first).to_contain_text("drawing")
    await expect(panel.locator(".grid .tile").first).to_be_visible()
    await panel.get_by_label("Which words to choose from").select_option("own")
    await panel.get_by_label("Words of your own").fill("a drawing of shapes, a photo of a cat")
    await page.keyboard.press("Enter")

    await expect(panel.locator(".what-answer .bar")).to_have_count(2)


async def test_why_a_result_was_found(new_page: NewPage, gallery: Gallery) -> None:
    cat = gallery.ids[CAT]
    page = await new_page(f"/?q=red+star&term=image:{cat}")
    first = (await results(page))[0]

    await page.locator(f"{TILES} a").first.focus()
    await page.keyboard.press("i")

    bars = page.locator("#panel-about .bars .bar")
    await expect(page).to_have_url(re.compile(first))
    await expect(bars).to_have_count(2)
    await expect(bars.first).to_contain_text("red star")


async def test_a_picture_that_was_uploaded_is_drawn_on(new_page: NewPage) -> None:
    page = await new_page()
    await drop(page, "new.png", a_picture(9, 300), "image/png")
    await results(page)

    await page.locator(".card").get_by_label("Select a part").click()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Shift+ArrowDown")
    await page.keyboard.press("Enter")

    await expect(page).to_have_url(re.compile(r"box%3D0\.27%2C0\.25%2C0\.77%2C0\.77"))
