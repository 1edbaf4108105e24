"""Every way of searching and listing over gRPC, on a real Elasticsearch."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as pb

from tests.helpers import SPACE, ids_of, image_id, refusal, terms, unit_vector
from tests.services.test_search_service import DIMENSIONS, upsert, vector, write

if TYPE_CHECKING:
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

COUNT = 120
ALL = np.array([unit_vector(n, DIMENSIONS) for n in range(COUNT)])
SEEDS = {image_id(n): n for n in range(COUNT)}
CAPTIONS = ("a red boat", "a blue boat", "a red house")


@pytest.fixture(scope="module")
async def index(
    indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub, index_of_drawings: str
) -> AsyncIterator[str]:
    """Documents 0 to 119; the format, caption and name of each say its number modulo 2, 3, 5."""
    name = f"{index_of_drawings}-searched"
    options = index_pb.IndexOptions(
        dimensions=DIMENSIONS, vector_type=index_pb.VECTOR_TYPE_FLAT, shards=2
    )
    request = index_pb.CreateIndexRequest(name=name, space=SPACE, options=options)
    await indexes.CreateIndex(request)
    await write(
        search,
        *(
            upsert(
                name,
                n,
                format=("PNG", "JPEG")[n % 2],
                caption=CAPTIONS[n % 3],
                image_name=f"{n % 5}.jpg",
                width=n,
                tags=["all", f"t{n % 4}"],
            )
            for n in range(COUNT)
        ),
    )
    yield name
    await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=name))


def weighted(*pairs: tuple[int, float]) -> list[pb.WeightedVector]:
    return [pb.WeightedVector(vector=vector(seed), weight=weight) for seed, weight in pairs]


def seeds_of(hits: object) -> list[int]:
    return [SEEDS[each] for each in ids_of(hits)]  # type: ignore[arg-type]


class TestSeveralVectors:
    async def test_rank_by_the_weighted_mean_of_cosines(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        pairs = ((1, 1.0), (2, 0.5), (3, -0.7))
        answer = await search.Search(pb.SearchRequest(index=index, vectors=weighted(*pairs), k=20))

        size = sum(abs(weight) for _, weight in pairs)
        expected = sum(weight * (ALL @ ALL[seed]) for seed, weight in pairs) / size
        assert seeds_of(answer.hits) == list(np.argsort(-expected)[:20])
        scores = [hit.score for hit in answer.hits]
        assert scores == pytest.approx(np.sort(expected)[::-1][:20], abs=1e-5)

    async def test_min_score_is_of_the_whole(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        request = pb.SearchRequest(index=index, vectors=weighted((1, 1.0), (2, 1.0)), k=COUNT)
        every = (await search.Search(request)).hits
        request.min_score = every[5].score

        assert ids_of((await search.Search(request)).hits) == ids_of(every[:6])

    @pytest.mark.parametrize(
        ("vectors", "field"),
        [
            (weighted((1, 0.0)), "vectors[0].weight"),
            (weighted((1, 1.0), (2, float("nan"))), "vectors[1].weight"),
            (weighted((1, 1.0), (1, -1.0)), "vectors"),
            (weighted(*((n, 1.0) for n in range(33))), "vectors"),
            ([], "vector"),
        ],
    )
    async def test_refuses(
        self,
        search: SearchServiceAsyncStub,
        index: str,
        vectors: list[pb.WeightedVector],
        field: str,
    ) -> None:
        request = pb.SearchRequest(index=index, vectors=vectors)
        assert (await refusal(search.Search(request))).fields == [field]

    async def test_by_distance_they_are_their_mean(
        self, indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub, new_index: str
    ) -> None:
        options = index_pb.IndexOptions(
            dimensions=DIMENSIONS, similarity=index_pb.SIMILARITY_L2_NORM
        )
        request = index_pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
        await indexes.CreateIndex(request)
        await write(search, *(upsert(new_index, n) for n in range(30)))

        ask = pb.SearchRequest(index=new_index, vectors=weighted((1, 3.0), (2, 1.0)), k=5)
        found = seeds_of((await search.Search(ask)).hits)
        against = pb.SearchRequest(index=new_index, vectors=weighted((1, 1.0), (2, -1.0)))

        mean = 0.75 * ALL[1] + 0.25 * ALL[2]
        distances = np.linalg.norm(ALL[:30] - mean, axis=1)
        assert found == list(np.argsort(distances)[:5])
        assert (await refusal(search.Search(against))).fields == ["vectors"]
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))


class TestWhich:
    async def test_lucene_query_and_filter_together(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        request = pb.SearchRequest(
            index=index,
            vector=vector(1),
            k=COUNT,
            lucene_query="caption:(red AND boat) AND NOT tags:t0 AND width:[10 TO 50]",
            filter=terms("format", "PNG"),
        )
        found = sorted(seeds_of((await search.Search(request)).hits))

        expected = [n for n in range(10, 51) if n % 3 == 0 and n % 4 and n % 2 == 0]
        assert found == expected
        count = pb.CountDocumentsRequest(
            index=index, lucene_query=request.lucene_query, filter=request.filter
        )
        assert (await search.CountDocuments(count)).count == len(expected)

    @pytest.mark.parametrize("query", ["caption:(red", "*boat", "a" * 5000])
    async def test_a_lucene_query_that_cannot_be_read(
        self, search: SearchServiceAsyncStub, index: str, query: str
    ) -> None:
        request = pb.SearchRequest(index=index, vector=vector(1), lucene_query=query)
        refused = await refusal(search.Search(request))
        count = pb.CountDocumentsRequest(index=index, lucene_query=query)

        assert refused.fields == ["lucene_query"]
        assert (await refusal(search.CountDocuments(count))).fields == ["lucene_query"]

    async def test_collapse_leaves_the_best_of_each(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        request = pb.SearchRequest(index=index, vector=vector(1), k=50, collapse="image_name")
        found = seeds_of((await search.Search(request)).hits)

        ranked = np.argsort(-(ALL @ ALL[1]))[:50]
        best = {int(n) % 5: int(n) for n in ranked[::-1]}
        assert sorted(found) == sorted(best.values())
        wrong = pb.SearchRequest(index=index, vector=vector(1), collapse="tags")
        assert (await refusal(search.Search(wrong))).fields == ["collapse"]

    async def test_facets_count_among_the_hits(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        facets = ["format", "tags", "caption"]
        request = pb.SearchRequest(index=index, vector=vector(1), k=30, facets=facets)
        answer = await search.Search(request)

        found = seeds_of(answer.hits)
        counted = [{v.value: v.count for v in facet.values} for facet in answer.facets]
        assert [facet.field for facet in answer.facets] == facets
        assert counted[0] == {
            name: n
            for i, name in enumerate(("PNG", "JPEG"))
            if (n := sum(s % 2 == i for s in found))
        }
        assert counted[1]["all"] == 30
        assert sum(counted[2].values()) == 30
        wrong = pb.SearchRequest(index=index, vector=vector(1), facets=["width", "nothing"])
        assert (await refusal(search.Search(wrong))).fields == ["facets[0]", "facets[1]"]


class TestPages:
    async def test_pages_are_the_whole_in_parts(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        whole = pb.SearchRequest(index=index, vector=vector(1), k=55)
        expected = ids_of((await search.Search(whole)).hits)

        request = pb.SearchRequest(index=index, vector=vector(1), k=55, page_size=20)
        pages = []
        while True:
            answer = await search.Search(request)
            pages.append(ids_of(answer.hits))
            if not answer.next_page_token:
                break
            if len(pages) == 1:  # a document comes that would be on the second page
                late = upsert(index, COUNT)
                late.vector.CopyFrom(vector(SEEDS[expected[30]]))
                await write(search, late)
            request.page_token = answer.next_page_token

        assert [len(page) for page in pages] == [20, 20, 15]
        assert [each for page in pages for each in page] == expected
        gone = pb.DeleteDocumentsRequest(
            index=index, image_ids=[image_id(COUNT)], refresh=types.REFRESH_POLICY_IMMEDIATE
        )
        await search.DeleteDocuments(gone)

    async def test_a_token_is_for_its_own_request(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        request = pb.SearchRequest(index=index, vector=vector(1), k=50, page_size=20)
        token = (await search.Search(request)).next_page_token
        other = pb.SearchRequest(
            index=index, vector=vector(2), k=50, page_size=20, page_token=token
        )
        junk = pb.SearchRequest(index=index, vector=vector(1), page_size=20, page_token="x?")

        assert (await refusal(search.Search(other))).fields == ["page_token"]
        assert (await refusal(search.Search(junk))).fields == ["page_token"]


class TestHow:
    @pytest.mark.parametrize("kind", list(index_pb.VectorType.keys())[1:])
    async def test_every_vector_type_finds_the_nearest(
        self,
        indexes: IndexServiceAsyncStub,
        search: SearchServiceAsyncStub,
        new_index: str,
        kind: str,
    ) -> None:
        """64 dimensions, as 1-bit types need; oversampled, scores are of full precision."""
        kind_of = index_pb.VectorType.Value(kind)
        options = index_pb.IndexOptions(dimensions=64, vector_type=kind_of)
        request = index_pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
        await indexes.CreateIndex(request)
        every = np.array([unit_vector(n, 64) for n in range(200)])
        requests = [upsert(new_index, n) for n in range(200)]
        for each, values in zip(requests, every, strict=True):
            each.vector.CopyFrom(types.Vector(values=values, space=SPACE))
        await write(search, *requests)

        query = types.Vector(values=every[7] + 0.05 * every[8], space=SPACE)
        ask = pb.SearchRequest(index=new_index, vector=query, k=10, oversample=10)
        hits = (await search.Search(ask)).hits

        cosines = every @ (np.array(query.values) / np.linalg.norm(query.values))
        assert len({image_id(n) for n in np.argsort(-cosines)[:10]} & set(ids_of(hits))) >= 9
        assert hits[0].document.image_id == image_id(7)
        assert hits[0].score == pytest.approx(cosines[7], abs=1e-3)
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))

    async def test_exact_needs_a_flat_index_or_scripts(
        self,
        indexes: IndexServiceAsyncStub,
        search: SearchServiceAsyncStub,
        index: str,
        new_index: str,
    ) -> None:
        request = index_pb.CreateIndexRequest(
            name=new_index, space=SPACE, options=index_pb.IndexOptions(dimensions=DIMENSIONS)
        )
        await indexes.CreateIndex(request)
        exact = pb.SearchRequest(index=index, vector=vector(1), k=20, exact=True)
        found = seeds_of((await search.Search(exact)).hits)
        exact.index = new_index
        # A server with Painless answers.
        code = await search.Search(exact).code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION)

        assert found == list(np.argsort(-(ALL @ ALL[1]))[:20])
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))

    async def test_profile_says_where_the_time_goes(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        request = pb.SearchRequest(index=index, vector=vector(1), profile=True)
        profile = json.loads((await search.Search(request)).profile_json)

        assert len(profile["shards"]) == 2

    async def test_several_searches_in_one_call(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        good = [pb.SearchRequest(index=index, vector=vector(n), k=5) for n in range(3)]
        bad = [
            pb.SearchRequest(index="no-such-index", vector=vector(1)),
            pb.SearchRequest(index=index, vector=vector(1), k=-1),
            pb.SearchRequest(index=index, vector=vector(1), lucene_query="a:("),
        ]
        together = [good[0], bad[0], good[1], bad[1], bad[2], good[2]]
        results = (await search.BatchSearch(pb.BatchSearchRequest(searches=together))).results

        alone = [ids_of((await search.Search(each)).hits) for each in good]
        assert [ids_of(results[i].response.hits) for i in (0, 2, 5)] == alone
        codes = [results[i].error.code for i in (1, 3, 4)]
        invalid = grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert codes == [grpc.StatusCode.NOT_FOUND.value[0], invalid, invalid]
        assert (await refusal(search.BatchSearch(pb.BatchSearchRequest()))).fields == ["searches"]


class TestAllDocuments:
    async def test_listed_once_each_in_pages(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        request = pb.ListDocumentsRequest(
            index=index,
            filter=terms("format", "PNG"),
            fields=["caption"],
            include_vectors=True,
            page_size=25,
        )
        listed: list[pb.ListedDocument] = []
        while True:
            answer = await search.ListDocuments(request)
            listed += answer.documents
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token

        ids = [each.document.image_id for each in listed]
        assert ids == sorted(image_id(n) for n in range(0, COUNT, 2))
        assert listed[0].document.caption == CAPTIONS[SEEDS[ids[0]] % 3]
        assert not listed[0].document.tags
        assert listed[0].vector.space == SPACE
        assert listed[0].vector.values == pytest.approx(ALL[SEEDS[ids[0]]], abs=1e-6)

    async def test_deleted_by_filter(
        self, indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub, new_index: str
    ) -> None:
        request = index_pb.CreateIndexRequest(
            name=new_index, space=SPACE, options=index_pb.IndexOptions(dimensions=DIMENSIONS)
        )
        await indexes.CreateIndex(request)
        rng = random.Random(1)
        tags = ["old", "new"]
        await write(search, *(upsert(new_index, n, tags=[rng.choice(tags)]) for n in range(1500)))
        counting = pb.CountDocumentsRequest(index=new_index, filter=terms("tags", "old"))
        old = (await search.CountDocuments(counting)).count

        delete = pb.DeleteMatchingDocumentsRequest(index=new_index, filter=terms("tags", "old"))
        answer = await search.DeleteMatchingDocuments(delete)
        again = await search.DeleteMatchingDocuments(delete)
        await indexes.RefreshIndex(index_pb.RefreshIndexRequest(name=new_index))
        left = (await search.CountDocuments(pb.CountDocumentsRequest(index=new_index))).count
        everything = pb.DeleteMatchingDocumentsRequest()

        assert 0 < old < 1500
        assert (answer.deleted_count, answer.complete) == (old, True)
        assert (again.deleted_count, again.complete) == (0, True)
        assert left == 1500 - old
        refused = await refusal(search.DeleteMatchingDocuments(everything))
        assert refused.fields == ["index", "filter"]
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))
