"""What tests of the page do again and again."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from playwright.async_api import expect

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.web.conftest import Gallery

TILES = "#results .tile"


async def results(page: Page) -> list[str]:
    """Ids of the results, once a search is done."""
    await expect(page.locator("#found")).to_have_attribute("aria-busy", "false")
    await expect(page.locator(TILES).first).to_be_visible()
    return await ids(page)


async def ids(page: Page) -> list[str]:
    """Ids of the results that are shown now."""
    found: list[str] = await page.eval_on_selector_all(
        TILES, "all => all.filter(e => !e.hidden).map(e => e.dataset.id)"
    )
    return found


async def best_is(page: Page, image_id: str) -> None:
    """Waits until an image is the best result."""
    await expect(page.locator(TILES).first).to_have_attribute("data-id", image_id)


async def drop(page: Page, name: str, data: bytes, mime: str, target: str = "body") -> None:
    """Drops a file as a file manager does: dragged in first, which shows where it can go."""
    transfer = await page.evaluate_handle(
        """async ([name, mime, base64]) => {
            const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: mime }));
            return transfer;
        }""",
        [name, mime, _base64(data)],
    )
    await page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    await page.dispatch_event(target, "dragover", {"dataTransfer": transfer})
    await page.dispatch_event(target, "drop", {"dataTransfer": transfer})


async def paste(page: Page, name: str, data: bytes, mime: str) -> None:
    """Pastes a picture."""
    await page.evaluate(
        """([name, mime, base64]) => {
            const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], name, { type: mime }));
            const options = { clipboardData, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new ClipboardEvent("paste", options));
        }""",
        [name, mime, _base64(data)],
    )


async def drag(
    page: Page, selector: str, start: tuple[float, float], end: tuple[float, float]
) -> None:
    """Draws over an element with the mouse, between two points in fractions of it."""
    box = await page.locator(selector).bounding_box()
    assert box is not None

    def at(point: tuple[float, float]) -> dict[str, Any]:
        return {
            "x": box["x"] + point[0] * box["width"],
            "y": box["y"] + point[1] * box["height"],
        }

    await page.mouse.move(**at(start))
    await page.mouse.down()
    await page.mouse.move(**at(end), steps=4)
    await page.mouse.up()


def alike(gallery: Gallery, path: str) -> str:
    """Address of the search by an image of the gallery."""
    return f"/?term=image:{gallery.ids[path]}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
