"""What the tests of search_service share, and those of the page's server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.search.v1 import index_service_pb2 as index_pb

import imagesearch_web.server
from imagesearch_web.settings import Settings
from tests.helpers import SPACE, each, the_picture
from tests.services.test_search_service import DIMENSIONS

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub


@pytest.fixture
async def index(indexes: IndexServiceAsyncStub, new_index: str) -> AsyncIterator[str]:
    options = index_pb.IndexOptions(dimensions=DIMENSIONS)
    request = index_pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
    await indexes.CreateIndex(request)
    yield new_index
    await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))


@pytest.fixture(scope="session")
async def web_address(
    gateway_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The page's server on the real gateway; uploads of 1 MiB at most."""
    settings = Settings(
        listen="127.0.0.1:0",
        gateway=gateway_address,
        query_folder=tmp_path_factory.mktemp("query-images"),
        max_upload_bytes=1024 * 1024,
        grace_s=1,
    )
    async with imagesearch_web.server.running(settings) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
async def web(web_address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client as the page's own script is one."""
    headers = {"x-requested-with": "imagesearch"}
    async with httpx.AsyncClient(base_url=web_address, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
async def shown(images: ImageSearchServiceAsyncStub, index_of_drawings: str) -> str:
    """An index of 12 drawings, `the_picture(0)` and so on, that no test changes."""
    index = f"{index_of_drawings}-web"
    requests = [
        pb.IndexImagesRequest(
            request_id=str(n),
            index=index,
            image=pb.ImageUpload(
                content=the_picture(n),
                relative_path=f"drawings/{n}.jpg",
                tags=["even" if n % 2 == 0 else "odd"],
            ),
        )
        for n in range(12)
    ]
    answers = [answer async for answer in images.IndexImages(each(requests), timeout=60)]
    assert {answer.indexed.outcome for answer in answers} == {types.UPSERT_OUTCOME_CREATED}
    return index
