"""For everyone: languages, keyboards, screen readers, small and large screens, dark and light."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.web.conftest import PHONE, Gallery, NewPage
from tests.web.steps import TILES, alike, results

if TYPE_CHECKING:
    from playwright.async_api import Page

CAT = "photos/chelsea.jpg"

VIEWS = {
    "start": "/",
    "results": "/?term=image:{cat}",
    "composed": "/?q=two+red+stars&term=image;box=0.25,0.1,0.8,0.75:{cat}"
    "&term=text;w=-0.5:green&tag=photo",
    "detail": "/?term=image:{cat}&show={cat}",
    "versions": "/?term=image:{cat}&show={cat}&tab=versions",
    "what": "/?term=image:{cat}&show={cat}&tab=what",
    "collection": "/?view=collection",
}


async def settled(page: Page, view: str) -> None:
    """Waits until a view is all there."""
    first = {
        "start": "#wall .tile",
        "collection": ".collection",
        "detail": "#panel-about .facts",
        "versions": ".version",
        "what": ".what-answer .bar",
    }
    await page.locator(first.get(view, TILES)).first.wait_for()
    await page.wait_for_load_state("networkidle")


IN_DIALOG = """
() => document.activeElement === document.body || !!document.activeElement.closest("#detail")
"""
"""The body has the focus where the browser's own controls have it."""

WIDTHS = (320, 390, 820, 2560)


@pytest.mark.parametrize("view", VIEWS)
async def test_no_serious_barrier_and_nothing_wider_than_the_screen(
    new_page: NewPage, gallery: Gallery, view: str
) -> None:
    """In light on a desktop and in dark on a phone."""
    axe = pytest.importorskip("axe_playwright_python.base")
    path = VIEWS[view].format(cat=gallery.ids[CAT])
    page = await new_page(path, color_scheme="light", reduced_motion="reduce")
    await settled(page, view)
    # Through the debugger: the page's own policy lets no script in, and stays in force.
    await page.evaluate(axe.AXE_SCRIPT)

    on_desktop = await barriers(page)
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    await page.set_viewport_size(PHONE)
    on_phone = await barriers(page)
    too_wide = []
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        if await page.evaluate("document.documentElement.scrollWidth") > width:
            too_wide.append(width)

    assert not on_desktop
    assert not on_phone
    assert not too_wide


async def barriers(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds, of those that are serious: rules and the elements."""
    found: dict[str, Any] = await page.evaluate("axe.run()")
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]][:3])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("locale", "title", "language"),
    [
        ("zh-CN", "找到任何图片", "zh-Hans"),
        ("en-US", "Find any picture", "en"),
        ("fr-FR", "Find any picture", "en"),
    ],
)
async def test_the_browser_chooses_the_language(
    new_page: NewPage, locale: str, title: str, language: str
) -> None:
    page = await new_page(locale=locale)

    await expect(page.locator("h1").first).to_have_text(title)
    await expect(page.locator("html")).to_have_attribute("lang", language)


async def test_another_language_is_chosen_and_kept(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT))
    await results(page)

    await page.get_by_label("Language").select_option("zh")

    await expect(page.locator("#to-collection")).to_have_text("图库")
    await expect(page.locator(f"{TILES} a").first).to_have_attribute(
        "aria-label", re.compile("按此图搜索")
    )
    await page.reload()
    await expect(page.locator("#to-collection")).to_have_text("图库")


async def test_with_the_keyboard_alone(new_page: NewPage, gallery: Gallery) -> None:
    """From the start to a result's facts and back, and on to another search."""
    page = await new_page()
    await page.keyboard.press("Tab")  # away from the field, which has the focus at first
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("/")
    await page.keyboard.type("two red stars")
    await page.keyboard.press("Enter")
    found = await results(page)
    await page.evaluate("document.activeElement.blur()")

    await page.keyboard.press("r")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    below = await page.evaluate("document.activeElement.closest('li').dataset.id")
    assert below not in found[:3]
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Home")
    await page.keyboard.press("i")
    await expect(page.locator("#detail")).to_be_visible()
    for _ in range(30):  # the focus stays in the dialog
        await page.keyboard.press("Tab")
        assert await page.evaluate(IN_DIALOG)
    await page.keyboard.press("Escape")
    await expect(page.locator("#detail")).to_be_hidden()
    await expect(page.locator(f"{TILES}[data-id='{found[0]}'] a")).to_be_focused()

    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"term=image%3A{found[0]}"))
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("?")
    await expect(page.get_by_role("heading", name="Keys and tips")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#help")).to_be_hidden()


async def test_only_one_result_is_in_the_order_of_tab(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page(alike(gallery, CAT))
    await results(page)

    assert await page.locator(f"{TILES} a[tabindex='0']").count() == 1
    await page.locator(f"{TILES} a").first.focus()
    await page.keyboard.press("ArrowRight")
    assert await page.locator(f"{TILES} a[tabindex='0']").count() == 1


async def test_results_are_told_to_screen_readers(new_page: NewPage) -> None:
    page = await new_page("/?q=red+star")
    await results(page)

    await expect(page.locator("#said")).to_have_text(re.compile(r"\d+ pictures found, best first"))


async def test_dark_and_light_are_switched_and_kept(new_page: NewPage) -> None:
    page = await new_page(color_scheme="light")
    colour = "getComputedStyle(document.body.parentElement).backgroundColor"
    light = await page.evaluate(colour)

    await page.get_by_role("button", name="Dark").click()

    dark = await page.evaluate(colour)
    assert light != dark
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert dark == await page.evaluate(colour)
