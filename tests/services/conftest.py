"""What the tests of search_service share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from imagesearch.search.v1 import index_service_pb2 as index_pb

from tests.helpers import SPACE
from tests.services.test_search_service import DIMENSIONS

if TYPE_CHECKING:
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub


@pytest.fixture
async def index(indexes: IndexServiceAsyncStub, new_index: str) -> AsyncIterator[str]:
    options = index_pb.IndexOptions(dimensions=DIMENSIONS)
    request = index_pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
    await indexes.CreateIndex(request)
    yield new_index
    await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))
