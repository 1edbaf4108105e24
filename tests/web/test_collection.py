"""The collection: what there is, adding pictures, duplicates, deleting with undo."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from playwright.async_api import expect

from imagesearch_dev.augment import VERSIONS
from tests.helpers import a_picture, encoded, eventually
from tests.web.conftest import Gallery, NewPage
from tests.web.steps import TILES, results

CAT = "photos/chelsea.jpg"


def a_folder(folder: Path, gallery: Gallery) -> Path:
    """Pictures, one below, one that is broken, and a text."""
    (folder / "below").mkdir(parents=True)
    (folder / "cat.jpg").write_bytes(gallery.files[CAT])
    (folder / "below" / "drawing.png").write_bytes(a_picture(70, 200))
    (folder / "broken.jpg").write_bytes(gallery.files[CAT][:200])
    (folder / "notes.txt").write_text("no picture")
    return folder


async def test_collections_and_their_health(new_page: NewPage, gallery: Gallery) -> None:
    page = await new_page("/?view=collection")

    chosen = page.locator(".collection[aria-current]")
    await expect(chosen).to_contain_text(gallery.index)
    await expect(chosen).to_contain_text(f"{len(gallery.ids)} pictures")
    await expect(chosen.locator(".health")).to_be_visible()
    await expect(page.locator(".part")).to_have_count(3)
    await expect(page.locator(".part.is-away")).to_have_count(0)


async def test_a_folder_is_added_with_what_was_refused(
    new_page: NewPage, gallery: Gallery, new_index: str, tmp_path: Path
) -> None:
    page = await new_page("/?view=collection", foreseen=("status of 400",))
    await expect(page.locator(".part")).to_have_count(3)
    await page.locator("#ingest-index").fill(new_index)
    await page.locator("#ingest-tags").fill("trip, 2024")

    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="Choose a folder").click()
    await (await choosing.value).set_files(a_folder(tmp_path / "trip", gallery))

    await expect(page.locator("#ingest-state")).to_have_text(
        "Done: 2 pictures are in the collection."
    )
    await expect(page.locator("#ingest-others")).to_have_text(
        "One file is no picture and was left out."
    )
    await expect(page.locator(".refused li")).to_have_count(1)
    await expect(page.locator(".refused")).to_contain_text("trip/broken.jpg")
    await expect(page.locator(".refused")).to_contain_text("no picture that can be read")
    await expect(page.locator(".collection", has_text=new_index)).to_be_visible()

    await page.goto(f"/?q=cat&index={new_index}")
    found = await results(page)
    assert len(found) == 2
    await page.locator(f"{TILES} a").first.focus()
    await page.keyboard.press("i")
    await expect(page.locator("#panel-about .tags")).to_contain_text("trip")
    await expect(page.locator("#panel-about .facts")).to_contain_text("trip/")


async def test_dropped_pictures_are_added(new_page: NewPage, new_index: str) -> None:
    from tests.web.steps import drop

    page = await new_page(f"/?view=collection&index={new_index}", foreseen=("status of 404",))
    await expect(page.locator(".part")).to_have_count(3)

    await drop(page, "one.png", a_picture(71, 200), "image/png")

    await expect(page.locator("#ingest-state")).to_have_text(
        "Done: one picture is in the collection."
    )


async def _stored(gallery: Gallery, index: str, pictures: dict[str, bytes]) -> list[str]:
    headers = {"x-requested-with": "imagesearch"}
    ids = []
    async with httpx.AsyncClient(base_url=gallery.address, headers=headers, timeout=30) as web:
        for path, data in pictures.items():
            where = {"index": index, "relative_path": path, "refresh": "immediate"}
            answer = await web.post("/api/v1/images", params=where, content=data)
            ids.append(answer.json()["image_id"])
    return ids


async def _exists(gallery: Gallery, index: str, image_id: str) -> bool:
    async with httpx.AsyncClient(base_url=gallery.address, timeout=30) as web:
        answer = await web.get(f"/api/v1/images/{image_id}", params={"index": index})
        return answer.status_code == 200


async def test_deleting_can_be_undone(new_page: NewPage, gallery: Gallery, new_index: str) -> None:
    stored = await _stored(gallery, new_index, {f"{n}.png": a_picture(n, 200) for n in (80, 81)})
    page = await new_page(f"/?q=shapes&index={new_index}&show={stored[0]}")

    await page.get_by_role("button", name="Delete").click()
    await expect(page.locator(f"{TILES}[data-id='{stored[0]}']")).to_be_hidden()
    await page.get_by_role("button", name="Undo").click()

    await expect(page.locator(f"{TILES}[data-id='{stored[0]}']")).to_be_visible()
    assert await _exists(gallery, new_index, stored[0])


async def test_what_was_deleted_is_deleted_when_the_page_is_left(
    new_page: NewPage, gallery: Gallery, new_index: str
) -> None:
    stored = await _stored(gallery, new_index, {f"{n}.png": a_picture(n, 200) for n in (82, 83)})
    page = await new_page(f"/?q=shapes&index={new_index}&show={stored[0]}")
    await page.get_by_role("button", name="Delete").click()
    assert await _exists(gallery, new_index, stored[0])

    await page.goto("about:blank")

    async def gone() -> None:
        assert not await _exists(gallery, new_index, stored[0])

    await eventually(gone, timeout_s=10)
    assert await _exists(gallery, new_index, stored[1])


async def test_duplicates_are_reviewed(new_page: NewPage, gallery: Gallery, new_index: str) -> None:
    import io

    from PIL import Image

    photo = Image.open(io.BytesIO(gallery.files[CAT])).convert("RGB")
    half = encoded(VERSIONS["half"](photo), "JPEG", quality=88)
    marked = encoded(VERSIONS["watermark"](photo), "JPEG", quality=88)
    pictures = {
        "cat.jpg": gallery.files[CAT],
        "half.jpg": half,
        "marked.jpg": marked,
        "other.png": a_picture(84, 200),
    }
    ids = await _stored(gallery, new_index, pictures)
    page = await new_page(f"/?view=collection&index={new_index}")

    await page.get_by_role("button", name="Look for duplicates").click()

    await expect(page.locator("#scan-state")).to_have_text(re.compile("One group of duplicates"))
    group = page.locator(".group")
    await expect(group.locator(".member")).to_have_count(3)
    await expect(group.locator(".member[aria-pressed='true']")).to_have_count(1)
    await group.locator(".member", has_text="marked.jpg").click()  # keep it after all, or do not
    pressed = await group.locator(".member[aria-pressed='true']").count()
    assert pressed in (0, 2)
    await group.locator(".member", has_text="marked.jpg").click()
    await group.get_by_role("button", name=re.compile("Delete 2")).click()

    await expect(group).to_be_hidden()
    await page.goto("about:blank")

    async def two_left() -> None:
        left = [image_id for image_id in ids if await _exists(gallery, new_index, image_id)]
        assert len(left) == 2

    await eventually(two_left, timeout_s=10)
