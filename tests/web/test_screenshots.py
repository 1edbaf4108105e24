"""Screenshots for the documentation: PAGE_SCREENSHOTS=docs/images pytest -k screenshots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.web.conftest import Gallery, NewPage
from tests.web.screenshots import SHOTS, take

FOLDER = os.environ.get("PAGE_SCREENSHOTS")


@pytest.mark.skipif(not FOLDER, reason="PAGE_SCREENSHOTS names no folder for them")
@pytest.mark.parametrize("name", SHOTS)
async def test_screenshots(new_page: NewPage, gallery: Gallery, name: str) -> None:
    await take(new_page, gallery, name, Path(FOLDER or ""))
