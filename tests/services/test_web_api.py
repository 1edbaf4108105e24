"""The page's JSON API over HTTP, on the real gateway and all that is behind it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from PIL import Image

import imagesearch_web.server
from imagesearch_web.settings import Settings
from tests.helpers import a_picture, each, image_id

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub

API = "/api/v1"
OURS = {"x-requested-with": "imagesearch"}


def settings(gateway: str, folder: Path, **changed: Any) -> Settings:
    return Settings(
        listen="127.0.0.1:0", gateway=gateway, query_folder=folder, grace_s=1, **changed
    )


@pytest.fixture(scope="session")
async def web_address(
    gateway_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("query-images")
    chosen = settings(gateway_address, folder, max_upload_bytes=1024 * 1024)
    async with imagesearch_web.server.running(chosen) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
async def web(web_address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=web_address, headers=OURS, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
async def shown(images: ImageSearchServiceAsyncStub, index_of_drawings: str) -> str:
    """An index of 12 drawings."""
    index = f"{index_of_drawings}-web"
    requests = [
        pb.IndexImagesRequest(
            request_id=str(n),
            index=index,
            image=pb.ImageUpload(
                content=a_picture(n, 600, "JPEG", quality=90),
                relative_path=f"drawings/{n}.jpg",
                tags=["even" if n % 2 == 0 else "odd"],
            ),
        )
        for n in range(12)
    ]
    answers = [answer async for answer in images.IndexImages(each(requests), timeout=60)]
    assert {a.indexed.outcome for a in answers} == {types.UPSERT_OUTCOME_CREATED}
    return index


def the_picture(n: int) -> bytes:
    """The n-th image of `shown`."""
    return a_picture(n, 600, "JPEG", quality=90)


def the_id(n: int) -> str:
    return hashlib.sha256(the_picture(n)).hexdigest()


async def sent(web: httpx.AsyncClient, data: bytes) -> str:
    """Sends a query image; gives its id."""
    answer = await web.post(f"{API}/query-images", content=data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


class TestSystem:
    async def test_status_is_the_gateways(self, web: httpx.AsyncClient, shown: str) -> None:
        answer = await web.get(f"{API}/status", params={"index": shown})

        assert answer.status_code == 200
        assert answer.json()["index"]["document_count"] == "12"
        assert all(part["serving"] for part in answer.json()["components"])

    async def test_indexes_are_listed(self, web: httpx.AsyncClient, shown: str) -> None:
        answer = await web.get(f"{API}/indexes", params={"page_size": 1000})

        assert shown in {index["name"] for index in answer.json()["indexes"]}

    async def test_it_is_alive_and_ready(self, web: httpx.AsyncClient) -> None:
        assert (await web.get("/healthz")).status_code == 200
        assert (await web.get("/readyz")).status_code == 200


class TestQueryImages:
    async def test_a_kept_image_has_a_size_an_id_and_thumbnails(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        data = a_picture(77, 700, "PNG")
        answer = await web.post(f"{API}/query-images", params={"index": shown}, content=data)

        assert answer.json() == {
            "id": hashlib.sha256(data).hexdigest(),
            "width": 700,
            "height": 700,
            "format": "PNG",
            "stored": False,
        }
        for width in (128, 256, 512, 1024):
            path = f"{API}/query-images/{answer.json()['id']}/thumbnail"
            small = await web.get(path, params={"w": width})
            assert small.headers["content-type"] == "image/jpeg"
            assert size_of(small.content) == (min(width, 700),) * 2

    async def test_what_the_index_has_is_said_to_be_stored(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        answer = await web.post(
            f"{API}/query-images", params={"index": shown}, content=the_picture(3)
        )

        assert answer.json()["stored"] is True


class TestImages:
    async def test_thumbnails_come_in_the_size_asked_for(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        for width, side in ((128, 128), (256, 256), (512, 512), (1024, 600)):
            small = await web.get(
                f"{API}/images/{the_id(1)}/thumbnail", params={"index": shown, "w": width}
            )
            assert size_of(small.content) == (side, side)
            assert small.headers["cache-control"] == "private, max-age=31536000, immutable"

    async def test_an_unknown_image_is_a_problem(self, web: httpx.AsyncClient, shown: str) -> None:
        answer = await web.get(f"{API}/images/{image_id(1)}", params={"index": shown})

        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
