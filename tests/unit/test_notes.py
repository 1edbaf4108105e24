"""The gateway's own files in the image store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.store import ImageStore
from service_kit.workers import Workers


@pytest.mark.parametrize("kind", ["file", "memory"])
async def test_notes_are_replaced_listed_and_deleted(kind: str, tmp_path: Path) -> None:
    url = tmp_path.as_uri() if kind == "file" else f"memory://{tmp_path}"
    async with Workers("notes", 1) as workers:
        store = ImageStore(url, workers)
        assert await store.notes("i", "scans") == {}
        assert await store.load_note("i", "scans", "a") is None

        await store.save_note("i", "scans", "a", b"one")
        await store.save_note("i", "scans", "b", b"two")
        await store.save_note("i", "scans", "a", b"new")  # as long as the one before

        assert await store.load_note("i", "scans", "a") == b"new"
        written = await store.notes("i", "scans")
        assert set(written) == {"a", "b"}
        age = datetime.now(UTC) - written["a"]
        assert timedelta(seconds=-2) < age < timedelta(minutes=1)
        await store.delete_note("i", "scans", "a")
        await store.delete_note("i", "scans", "a")
        assert set(await store.notes("i", "scans")) == {"b"}
