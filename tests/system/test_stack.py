"""`make run` as a new user meets it: sample pictures, two searches, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from imagesearch_dev.captions import LANGUAGES, caption
from imagesearch_dev.samples import QUERY
from service_kit.client import channel
from tests.system.conftest import Stack, processes_with

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def images(stack: Stack) -> AsyncIterator[ImageSearchServiceAsyncStub]:
    async with channel(stack.gateway) as opened:
        yield pb_grpc.ImageSearchServiceStub(opened)


def paths(results: pb.SearchByImageResponse | pb.SearchByTextResponse) -> list[str]:
    return [result.image.relative_path for result in results.results]


def test_it_says_what_it_does(stack: Stack) -> None:
    assert "The tiny model from the repository" in stack.output
    assert "$ imagesearch index" in stack.output
    assert "chelsea.png" in stack.output
    assert "three-green-rings" in stack.output
    assert f"grpcurl -plaintext {stack.gateway} list" in stack.output


def test_the_page_is_where_it_says(stack: Stack) -> None:
    address = re.findall(r"^  (http://127\.0\.0\.1:\d+/)$", stack.output, re.MULTILINE)[-1]
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/html")
    with urllib.request.urlopen(f"{address}readyz", timeout=10) as answer:
        assert json.load(answer) == {"status": "ready"}


async def test_every_photo_finds_itself_first_and_then_its_versions(
    stack: Stack, images: ImageSearchServiceAsyncStub
) -> None:
    photos = sorted(p for p in (stack.images / "photos").iterdir() if p.is_file())
    assert len(photos) == 23
    for photo in photos:
        request = pb.SearchByImageRequest(image=photo.read_bytes(), k=4)
        answer = await images.SearchByImage(request, timeout=10)

        versions = {f"photos/versions/{photo.stem}-{v}.jpg" for v in ("half", "crop", "watermark")}
        assert paths(answer)[0] == f"photos/{photo.name}"
        assert answer.results[0].score == pytest.approx(1, abs=1e-3)
        assert set(paths(answer)[1:]) == versions, photo.name


async def test_text_finds_the_drawings_it_describes_in_every_language(
    stack: Stack, images: ImageSearchServiceAsyncStub
) -> None:
    fitting = [str(p.relative_to(stack.images)) for p in stack.images.rglob("*three-green-rings*")]
    assert len(fitting) == 5
    for language in LANGUAGES:
        request = pb.SearchByTextRequest(text=caption(QUERY, language), k=len(fitting))
        answer = await images.SearchByText(request, timeout=10)

        assert set(paths(answer)) == set(fitting), language


async def test_ctrl_c_leaves_no_process_and_a_second_run_uses_what_is_there(
    stack: Stack, stack_folder: Path
) -> None:
    """Nearly last in this module: it stops the stack that the others use."""
    assert stack.press_ctrl_c() == 0
    if sys.platform == "linux":
        assert processes_with(str(stack_folder)) == []

    stack.start()

    assert "404 unchanged" in stack.output
    async with channel(stack.gateway) as opened:
        status = await pb_grpc.ImageSearchServiceStub(opened).GetStatus(pb.GetStatusRequest())
    assert status.index.document_count == 404


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of the death")
async def test_not_even_a_kill_leaves_a_process(stack: Stack, stack_folder: Path) -> None:
    """Last in this module, for the same reason."""
    stack.process.kill()

    end = time.monotonic() + 40
    while left := processes_with(str(stack_folder)):
        assert time.monotonic() < end, left
        await asyncio.sleep(0.2)
