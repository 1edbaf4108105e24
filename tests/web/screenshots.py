"""Pictures of the page for the documentation: see test_screenshots.py."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from playwright.async_api import expect

from tests.web.conftest import PHONE

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.web.conftest import Gallery, NewPage

WIDE = {"viewport": {"width": 1280, "height": 800}}
SMALL = {"viewport": PHONE, "device_scale_factor": 1.5, "has_touch": True, "is_mobile": True}

CAT = "photos/chelsea.jpg"

SHOTS: dict[str, tuple[str, dict[str, Any]]] = {
    "start": ("/", WIDE),
    "search": (
        "/?term=image;box=0.22,0.08,0.86,0.72:{cat}&term=text;w=-0.2:green&format=JPEG",
        WIDE,
    ),
    "versions": ("/?term=image:{cat}&show={cat}&tab=versions", WIDE),
    "duplicates": ("/?view=collection", WIDE),
    "phone": ("/?term=image:{cat}", SMALL),
    "chinese": ("/?term=image:{cat}", {**SMALL, "locale": "zh-CN", "color_scheme": "dark"}),
}


async def take(new_page: NewPage, gallery: Gallery, name: str, folder: Path) -> None:
    """Takes one, in few colours."""
    path, options = SHOTS[name]
    page = await new_page(path.format(cat=gallery.ids[CAT]), **options)
    await page.wait_for_load_state("networkidle")
    await _arrange(page, name)
    await page.wait_for_timeout(400)
    shot = await page.screenshot()
    await asyncio.to_thread(_save, shot, folder / f"page-{name}.png")


async def _arrange(page: Page, name: str) -> None:
    if name == "search":
        await page.locator("#results .tile").nth(1).hover()
    if name == "versions":
        await page.locator(".version", has_text="Something put over it").first.click()
    if name == "duplicates":
        await page.locator("#scan").click()
        await expect(page.locator("#scan-state")).to_contain_text("groups", timeout=30_000)
        await page.locator("#duplicates-title").scroll_into_view_if_needed()
        await page.evaluate("document.querySelector('#duplicates-title').scrollIntoView()")
        await page.mouse.wheel(0, -100)


def _save(shot: bytes, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(shot)) as image:
        few = image.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
        few.save(file, optimize=True)
