"""Filters on perceptual hashes, over gRPC, on a real Elasticsearch."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from elasticsearch import Elasticsearch
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as pb

from search_service.mappings import Options, Revision, index_body
from tests.helpers import SPACE, Refusal, ids_of, image_id, refusal
from tests.services.test_search_service import DIMENSIONS, upsert, vector, write

if TYPE_CHECKING:
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

HASH = 0x8F3C_0A71_55E2_9B04


def hashes() -> list[int]:
    """300 hashes: ten of each distance from HASH up to 9 bits, the others random."""
    rng = random.Random(5)
    near = []
    for distance in range(10):
        for _ in range(10):
            flipped = sum(1 << bit for bit in rng.sample(range(64), distance))
            near.append(HASH ^ flipped)
    return near + [rng.getrandbits(64) for _ in range(200)]


def within(distance: int) -> set[str]:
    return {image_id(n) for n, each in enumerate(hashes()) if (each ^ HASH).bit_count() <= distance}


def similar(phash: str = f"{HASH:016x}", max_distance: int = 3) -> types.Filter:
    condition = types.SimilarHashCondition(hash=phash, max_distance=max_distance)
    return types.Filter(similar_hash=condition)


async def listed(search: SearchServiceAsyncStub, index: str, condition: types.Filter) -> set[str]:
    request = pb.ListDocumentsRequest(index=index, filter=condition, page_size=1_000)
    return set(ids_of((await search.ListDocuments(request, timeout=10)).documents))


@pytest.fixture(scope="module")
async def hashed(
    indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub
) -> AsyncIterator[str]:
    """An index with those hashes, and one document without any."""
    name = "test-hashes"
    options = index_pb.IndexOptions(dimensions=DIMENSIONS)
    request = index_pb.CreateIndexRequest(name=name, space=SPACE, options=options)
    await indexes.CreateIndex(request)
    requests = [upsert(name, n, phash=f"{each:016x}") for n, each in enumerate(hashes())]
    answers = await write(search, *requests, upsert(name, 1_000), upsert(name, 1_001, phash="odd"))
    assert all(answer.HasField("outcome") for answer in answers.values())
    yield name
    await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=name))


@pytest.mark.parametrize("distance", range(6))
async def test_exactly_the_hashes_within_a_distance_match(
    search: SearchServiceAsyncStub, hashed: str, distance: int
) -> None:
    wanted = within(distance)

    assert len(wanted) >= 10 * (distance + 1) - 5  # the same bits may be drawn twice
    assert await listed(search, hashed, similar(max_distance=distance)) == wanted


async def test_it_narrows_a_search_and_can_be_negated(
    search: SearchServiceAsyncStub, hashed: str
) -> None:
    near = pb.SearchRequest(index=hashed, vector=vector(7), k=500, filter=similar())
    found = (await search.Search(near, timeout=10)).hits
    nothing = types.Filter(none_of=types.FilterList(filters=[similar()]))
    count = await search.CountDocuments(pb.CountDocumentsRequest(index=hashed, filter=nothing))

    assert set(ids_of(found)) == within(3)
    assert {hit.document.phash for hit in found} == {
        f"{each:016x}" for each in hashes() if (each ^ HASH).bit_count() <= 3
    }
    assert count.count == 302 - len(within(3))


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        (similar(""), ["hash"]),
        (similar("8f3c0a7155e29b0"), ["hash"]),
        (similar("8f3c0a7155e29b0g"), ["hash"]),
        (similar(max_distance=-1), ["max_distance"]),
        (similar(max_distance=6), ["max_distance"]),
        (similar("x", 64), ["hash", "max_distance"]),
    ],
)
async def test_bad_conditions(
    search: SearchServiceAsyncStub, hashed: str, condition: types.Filter, fields: list[str]
) -> None:
    refused: Refusal = await refusal(listed(search, hashed, condition))

    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == [f"filter.similar_hash.{field}" for field in fields]


async def test_so_many_at_a_time_are_refused(search: SearchServiceAsyncStub, hashed: str) -> None:
    few = types.Filter(any_of=types.FilterList(filters=[similar()] * 8))
    many = types.Filter(any_of=types.FilterList(filters=[similar()] * 63))

    assert await listed(search, hashed, few) == within(3)
    assert (await refusal(listed(search, hashed, many))).code == grpc.StatusCode.INVALID_ARGUMENT


async def test_an_index_of_an_earlier_version_is_upgraded_when_it_is_written_to(
    elasticsearch_url: str,
    indexes: IndexServiceAsyncStub,
    search: SearchServiceAsyncStub,
    new_index: str,
) -> None:
    """Until then nothing matches; then what is stored, also what is stored again."""
    body: dict[str, Any] = index_body(
        Revision(
            new_index,
            1,
            SPACE,
            Options(dimensions=DIMENSIONS),
            "2026-01-01T00:00:00Z",
            epoch=1,
            live=True,
        )
    )
    del body["mappings"]["properties"]["phash_bands"]
    phash = f"{HASH:016x}"
    before = {"image_id": image_id(1), "phash": phash, "image_embedding": list(vector(1).values)}
    before["indexed_at"] = "2026-01-01T00:00:00Z"
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.create(index=f"{new_index}-000001", **body)
        client.index(
            index=f"{new_index}-000001", id=image_id(1), document=before, refresh="wait_for"
        )
    assert await listed(search, new_index, similar()) == set()

    answers = await write(search, upsert(new_index, 2, phash=phash))
    assert answers["2"].outcome == types.UPSERT_OUTCOME_CREATED
    assert await listed(search, new_index, similar()) == {image_id(2)}

    answers = await write(search, upsert(new_index, 1, phash=phash))
    assert answers["1"].outcome == types.UPSERT_OUTCOME_MERGED
    assert await listed(search, new_index, similar()) == {image_id(1), image_id(2)}
    answers = await write(search, upsert(new_index, 1, phash=phash))
    assert answers["1"].outcome == types.UPSERT_OUTCOME_UNCHANGED
    await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))
