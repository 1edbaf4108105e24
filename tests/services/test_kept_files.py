"""What the gateway keeps of files: the picture, and nothing that they say beside it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

import gateway.server
import gateway.settings
from gateway import looking
from gateway.pictures import Pictures
from image_kit.containment.bounds import Bounds
from image_kit.containment.decoders import open_decoders
from image_kit.decoding import ImageError, ImageLimits
from service_kit.client import channel
from tests.chaos.broken_images import damaged
from tests.helpers import id_of
from tests.unit.test_metadata import KINDS, SECRET, a_file

if TYPE_CHECKING:
    from pathlib import Path

    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub

LIMITS = ImageLimits()


@pytest.fixture(scope="module")
async def pictures() -> AsyncIterator[Pictures]:
    bounds = Bounds(20.0, memory_bytes=1024**3, answer_bytes=64 * 1024**2)
    async with open_decoders(2, looking.TASKS, LIMITS, bounds) as decoders:
        yield Pictures(LIMITS, decoders)


@pytest.mark.parametrize("kind", KINDS)
async def test_of_a_damaged_file_the_same_picture_is_kept(kind: str, pictures: Pictures) -> None:
    chance, original, taken = random.Random(kind), a_file(kind, 6), 0
    for _ in range(60):
        data = damaged(original, chance)
        try:
            kept = (await asyncio.to_thread(pictures.prepare, data, to_keep=True)).content
        except ImageError:
            continue
        taken += 1
        was = await asyncio.to_thread(pictures.digest, data)
        assert await asyncio.to_thread(pictures.digest, kept) == was
    assert taken or kind == "PNG"  # which has checksums


async def stored(images: ImageSearchServiceAsyncStub, index: str, data: bytes) -> bytes:
    """Stores a file; gives what is kept of it."""
    request = pb.IndexImageRequest(
        index=index,
        image=pb.ImageUpload(content=data),
        refresh=types.REFRESH_POLICY_IMMEDIATE,
    )
    image_id = (await images.IndexImage(request, timeout=30)).indexed.image_id
    assert image_id == id_of(data)
    wanted = pb.GetImageContentRequest(
        index=index, image_id=image_id, variant=pb.IMAGE_VARIANT_ORIGINAL
    )
    return (await images.GetImageContent(wanted, timeout=10)).content


async def test_an_original_is_kept_without_what_it_says(
    images: ImageSearchServiceAsyncStub, new_index: str, store_folder: Path
) -> None:
    data = a_file("JPEG", 6)

    kept = await stored(images, new_index, data)

    assert SECRET in data
    files = [file for file in (store_folder / new_index).rglob("*") if file.is_file()]
    assert len(files) == 2
    assert not any(SECRET in file.read_bytes() for file in files)
    request = pb.SearchByImageRequest(index=new_index, image=kept, k=1)
    (found,) = (await images.SearchByImage(request, timeout=10)).results
    assert found.score == pytest.approx(1, abs=1e-4)


async def test_whoever_wants_them_as_they_came_says_so(
    embedder_address: str, search_address: str, new_index: str, tmp_path: Path
) -> None:
    settings = gateway.settings.Settings(
        listen="127.0.0.1:0",
        embedder=embedder_address,
        search=search_address,
        store_url=tmp_path.as_uri(),
        keep_metadata=True,
        grace_s=1,
    )
    data = a_file("JPEG", 6)
    async with gateway.server.running(settings) as port, channel(f"127.0.0.1:{port}") as to:
        assert await stored(pb_grpc.ImageSearchServiceStub(to), new_index, data) == data
