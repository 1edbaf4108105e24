"""search_service over gRPC, on a real Elasticsearch."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest
from elasticsearch import AsyncElasticsearch
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as pb

from tests.helpers import SPACE, Refusal, each, ids_of, image_id, refusal, terms, unit_vector

if TYPE_CHECKING:
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

DIMENSIONS = 16


def vector(seed: int) -> types.Vector:
    return types.Vector(values=unit_vector(seed, DIMENSIONS), space=SPACE)


def upsert(
    index: str,
    seed: int,
    refresh: types.RefreshPolicy.ValueType = types.REFRESH_POLICY_NONE,
    **fields: object,
) -> pb.UpsertDocumentsRequest:
    document = types.Document(image_id=image_id(seed), **fields)  # type: ignore[arg-type]
    return pb.UpsertDocumentsRequest(
        request_id=str(seed), index=index, document=document, vector=vector(seed), refresh=refresh
    )


async def write(
    search: SearchServiceAsyncStub, *requests: pb.UpsertDocumentsRequest
) -> dict[str, pb.UpsertDocumentsResponse]:
    """Sends the requests on one stream; answers by request id. Searches then see them."""
    for request in requests:
        request.refresh = types.REFRESH_POLICY_IMMEDIATE
    answers = search.UpsertDocuments(each(requests), timeout=30)
    return {answer.request_id: answer async for answer in answers}


class TestIndexes:
    async def test_get_tells_what_it_was_made_with(
        self, indexes: IndexServiceAsyncStub, new_index: str
    ) -> None:
        options = index_pb.IndexOptions(
            dimensions=64,
            similarity=index_pb.SIMILARITY_DOT_PRODUCT,
            vector_type=index_pb.VECTOR_TYPE_BBQ_HNSW,
            m=8,
            ef_construction=50,
            shards=2,
            replicas=0,
            refresh_interval=Duration(seconds=5),
        )
        request = index_pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
        created = (await indexes.CreateIndex(request)).index

        found = (await indexes.GetIndex(index_pb.GetIndexRequest(name=new_index))).index

        assert found.options == options
        assert found.options == created.options
        assert found.name == new_index
        assert found.physical_index == f"{new_index}-000001"
        assert found.space == SPACE
        assert found.document_count == 0
        assert found.created_at.seconds > 1_700_000_000
        assert found.elasticsearch_version
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))

    async def test_a_second_one_of_a_name_is_refused(
        self, indexes: IndexServiceAsyncStub, index: str
    ) -> None:
        again = await refusal(
            indexes.CreateIndex(index_pb.CreateIndexRequest(name=index, space=SPACE))
        )

        assert (again.code, again.reason) == (grpc.StatusCode.ALREADY_EXISTS, "INDEX_EXISTS")

    async def test_lists_in_pages_only_what_the_service_made(
        self, indexes: IndexServiceAsyncStub, new_index: str, elasticsearch_url: str
    ) -> None:
        names = [f"{new_index}-{letter}" for letter in "abc"]
        for name in names:
            await indexes.CreateIndex(index_pb.CreateIndexRequest(name=name, space=SPACE))
        async with AsyncElasticsearch(elasticsearch_url) as client:
            await client.indices.create(index=f"{new_index}-foreign")

            listed: list[str] = []
            token = ""
            while True:
                page = await indexes.ListIndexes(
                    index_pb.ListIndexesRequest(page_size=2, page_token=token)
                )
                assert len(page.indexes) <= 2
                listed += [each.name for each in page.indexes]
                if not (token := page.next_page_token):
                    break
            foreign = index_pb.DeleteIndexRequest(name=f"{new_index}-foreign")
            assert (await refusal(indexes.DeleteIndex(foreign))).reason == "INDEX_NOT_FOUND"
            await client.indices.delete(index=f"{new_index}-foreign")

        assert listed == sorted(listed)
        assert [name for name in listed if name.startswith(new_index)] == names
        for name in names:
            await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=name))

    async def test_what_is_deleted_is_gone(
        self, indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub, new_index: str
    ) -> None:
        await indexes.CreateIndex(index_pb.CreateIndexRequest(name=new_index, space=SPACE))
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))

        for call in (
            indexes.GetIndex(index_pb.GetIndexRequest(name=new_index)),
            indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index)),
            search.Search(pb.SearchRequest(index=new_index, vector=vector(1))),
        ):
            gone = await refusal(call)
            assert (gone.code, gone.reason) == (grpc.StatusCode.NOT_FOUND, "INDEX_NOT_FOUND")

    async def test_says_all_that_is_wrong_at_once(self, indexes: IndexServiceAsyncStub) -> None:
        options = index_pb.IndexOptions(
            dimensions=5_000, vector_type=index_pb.VECTOR_TYPE_FLAT, m=16, replicas=-1
        )
        request = index_pb.CreateIndexRequest(name="Not A Name", options=options)

        refused = await refusal(indexes.CreateIndex(request))

        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
        assert set(refused.fields) == {
            "name",
            "space",
            "options.dimensions",
            "options.m",
            "options.replicas",
        }

    @pytest.mark.parametrize("name", ["-a", "a-000001", "a/b", "*", "a" * 201, "ä"])
    async def test_refuses_a_name_that_elasticsearch_or_we_cannot_use(
        self, indexes: IndexServiceAsyncStub, name: str
    ) -> None:
        refused = await refusal(indexes.GetIndex(index_pb.GetIndexRequest(name=name)))

        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["name"])

    async def test_nothing_is_deleted_by_default(self, indexes: IndexServiceAsyncStub) -> None:
        refused = await refusal(indexes.DeleteIndex(index_pb.DeleteIndexRequest()))

        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["name"])


class TestDocuments:
    async def test_a_document_comes_back_as_it_was_given(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        seen = types.Source(
            relative_path="a/b.jpg",
            url="https://example.org/b.jpg",
            first_seen_at=Timestamp(seconds=1_000_000),
            last_seen_at=Timestamp(seconds=2_000_000, nanos=500_000_000),
        )
        request = upsert(
            index,
            1,
            image_name="b.jpg",
            relative_path="a/b.jpg",
            width=640,
            height=480,
            format="JPEG",
            size_bytes=123_456,
            phash="0123456789abcdef",
            captured_at=Timestamp(seconds=1_500_000_000),
            tags=["x", "猫"],
            caption="a cat",
            attributes={"camera": "X100", "a.b": "c"},
            sources=[seen],
        )
        answers = await write(search, request)
        assert answers["1"].outcome == types.UPSERT_OUTCOME_CREATED
        assert answers["1"].image_id == image_id(1)

        got = await search.GetDocuments(
            pb.GetDocumentsRequest(
                index=index, image_ids=[image_id(1), image_id(2)], include_vectors=True
            )
        )

        found, missing = got.results
        assert found.document.indexed_at.seconds > 1_700_000_000
        found.document.ClearField("indexed_at")
        assert found.document == request.document
        assert found.vector.space == SPACE
        assert list(found.vector.values) == pytest.approx(list(request.vector.values), abs=1e-6)
        assert Refusal(missing.error).reason == "DOCUMENT_NOT_FOUND"

    async def test_the_same_bytes_again_are_merged(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        first = upsert(
            index,
            1,
            image_name="a.jpg",
            tags=["x"],
            attributes={"k": "1", "l": "1"},
            sources=[types.Source(relative_path="a.jpg")],
        )
        second = upsert(
            index,
            1,
            image_name="b.jpg",
            tags=["y"],
            attributes={"k": "2"},
            caption="new",
            sources=[types.Source(relative_path="b.jpg")],
        )
        await write(search, first)

        merged = (await write(search, second))["1"]
        unchanged = (await write(search, second))["1"]

        assert merged.outcome == types.UPSERT_OUTCOME_MERGED
        assert unchanged.outcome == types.UPSERT_OUTCOME_UNCHANGED
        request = pb.GetDocumentsRequest(index=index, image_ids=[image_id(1)], include_vectors=True)
        found = (await search.GetDocuments(request)).results[0]
        assert found.document.image_name == "a.jpg"
        assert list(found.document.tags) == ["x", "y"]
        assert dict(found.document.attributes) == {"k": "2", "l": "1"}
        assert found.document.caption == "new"
        assert [s.relative_path for s in found.document.sources] == ["a.jpg", "b.jpg"]
        assert list(found.vector.values) == pytest.approx(unit_vector(1, DIMENSIONS), abs=1e-6)

    async def test_many_at_once_of_the_same_bytes_lose_no_source(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        """Two streams meet the same three images, each in 40 places, at the same time."""

        async def stream(half: int) -> list[pb.UpsertDocumentsResponse]:
            requests = [
                upsert(index, n % 3, sources=[types.Source(relative_path=f"{half}/{n}.jpg")])
                for n in range(120)
            ]
            return [answer async for answer in search.UpsertDocuments(each(requests), timeout=60)]

        answers = [a for half in await asyncio.gather(stream(0), stream(1)) for a in half]

        assert {answer.WhichOneof("result") for answer in answers} == {"outcome"}
        created = [a for a in answers if a.outcome == types.UPSERT_OUTCOME_CREATED]
        assert len(created) == 3
        request = pb.GetDocumentsRequest(index=index, image_ids=[image_id(n) for n in range(3)])
        for result in (await search.GetDocuments(request)).results:
            assert len(result.document.sources) == 80

    async def test_a_bad_document_costs_no_other(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        requests = [upsert(index, n) for n in range(10)]
        requests[2].vector.values[3] = math.nan
        requests[3].vector.values[:] = [0.0] * DIMENSIONS
        requests[4].vector.values.append(1.0)
        requests[5].vector.space = "another-model@sha256:1"
        requests[6].document.image_id = "not an id"
        requests[7].index = "test-no-such-index"
        requests[8].vector.space = ""

        answers = await write(search, *requests)

        refused = {int(n): Refusal(a.error) for n, a in answers.items() if a.HasField("error")}
        assert {n: (r.code.name, r.reason, r.fields) for n, r in refused.items()} == {
            2: ("INVALID_ARGUMENT", "INVALID_REQUEST", ["vector.values"]),
            3: ("INVALID_ARGUMENT", "INVALID_REQUEST", ["vector.values"]),
            4: ("FAILED_PRECONDITION", "DIMENSION_MISMATCH", ["vector.values"]),
            5: ("FAILED_PRECONDITION", "SPACE_MISMATCH", ["vector.space"]),
            6: ("INVALID_ARGUMENT", "INVALID_REQUEST", ["document.image_id"]),
            7: ("NOT_FOUND", "INDEX_NOT_FOUND", []),
            8: ("INVALID_ARGUMENT", "INVALID_REQUEST", ["vector.space"]),
        }
        stored = {int(n) for n, a in answers.items() if a.outcome == types.UPSERT_OUTCOME_CREATED}
        assert stored == {0, 1, 9}

    async def test_deleting_says_what_was_there(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        await write(search, *[upsert(index, n) for n in range(3)])
        request = pb.DeleteDocumentsRequest(
            index=index,
            image_ids=[image_id(0), image_id(1), image_id(1), image_id(9)],
            refresh=types.REFRESH_POLICY_IMMEDIATE,
        )

        deleted = await search.DeleteDocuments(request)

        assert set(deleted.deleted_image_ids) == {image_id(0), image_id(1)}
        assert list(deleted.missing_image_ids) == [image_id(9)]
        left = await search.Search(pb.SearchRequest(index=index, vector=vector(0)))
        assert ids_of(left.hits) == [image_id(2)]

    async def test_a_write_waits_for_the_refresh_if_asked(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        request = upsert(index, 1, refresh=types.REFRESH_POLICY_WAIT_FOR)
        answers = [a async for a in search.UpsertDocuments(each([request]), timeout=30)]

        found = await search.Search(pb.SearchRequest(index=index, vector=vector(1)))

        assert answers[0].outcome == types.UPSERT_OUTCOME_CREATED
        assert ids_of(found.hits) == [image_id(1)]


@pytest.fixture(scope="session")
async def filled(
    indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub
) -> AsyncIterator[str]:
    """An index of 60 documents."""
    name = "test-filled"
    options = index_pb.IndexOptions(dimensions=DIMENSIONS)
    await indexes.CreateIndex(index_pb.CreateIndexRequest(name=name, space=SPACE, options=options))
    requests = [
        upsert(
            name,
            n,
            image_name=f"{n}.jpg",
            relative_path=f"{'even' if n % 2 == 0 else 'odd'}/{n}.jpg",
            width=n * 10 or 1,
            format="JPEG" if n % 3 else "PNG",
            captured_at=Timestamp(seconds=1_000_000_000 + n),
            attributes={"shelf": str(n % 5)},
            caption=f"picture {n}",
            tags=["all", *(["rare"] if n in (7, 11) else [])],
        )
        for n in range(60)
    ]
    await write(search, *requests)
    yield name
    await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=name))


class TestSearch:
    async def test_the_nearest_come_first_with_their_cosines(
        self, search: SearchServiceAsyncStub, filled: str
    ) -> None:
        """The order and the scores are those of exact arithmetic."""
        query = unit_vector(7, DIMENSIONS)
        cosines = {
            image_id(n): sum(a * b for a, b in zip(query, unit_vector(n, DIMENSIONS), strict=True))
            for n in range(60)
        }

        found = await search.Search(pb.SearchRequest(index=filled, vector=vector(7), k=5))

        assert ids_of(found.hits) == sorted(cosines, key=lambda each: -cosines[each])[:5]
        for hit in found.hits:
            assert hit.score == pytest.approx(cosines[hit.document.image_id], abs=1e-4)
        assert found.hits[0].score == pytest.approx(1, abs=1e-4)

    async def test_ten_by_default_and_all_fields(
        self, search: SearchServiceAsyncStub, filled: str
    ) -> None:
        found = await search.Search(pb.SearchRequest(index=filled, vector=vector(7)))

        assert len(found.hits) == 10
        assert found.hits[0].document.image_name == "7.jpg"
        assert found.hits[0].document.attributes["shelf"] == "2"
        assert found.hits[0].document.captured_at.seconds == 1_000_000_007

    async def test_only_the_fields_that_are_asked_for(
        self, search: SearchServiceAsyncStub, filled: str
    ) -> None:
        request = pb.SearchRequest(index=filled, vector=vector(7), k=1, fields=["width"])
        found = await search.Search(request)

        assert found.hits[0].document == types.Document(image_id=image_id(7), width=70)

    async def test_min_score_cuts_off(self, search: SearchServiceAsyncStub, filled: str) -> None:
        everything = await search.Search(pb.SearchRequest(index=filled, vector=vector(7), k=60))
        third = everything.hits[2].score

        found = await search.Search(
            pb.SearchRequest(index=filled, vector=vector(7), k=60, min_score=third)
        )

        assert ids_of(found.hits) == ids_of(everything.hits)[:3]

    @pytest.mark.parametrize(
        ("condition", "wanted"),
        [
            (terms("tags", "rare"), {7, 11}),
            (
                types.Filter(
                    term=types.TermCondition(
                        field="image_name", value=types.FilterValue(text="3.jpg")
                    )
                ),
                {3},
            ),
            (
                types.Filter(
                    range=types.RangeCondition(
                        field="width",
                        gte=types.FilterValue(number=100),
                        lt=types.FilterValue(number=125),
                    )
                ),
                {10, 11, 12},
            ),
            (
                types.Filter(
                    range=types.RangeCondition(
                        field="captured_at",
                        gt=types.FilterValue(time=Timestamp(seconds=1_000_000_057)),
                    )
                ),
                {58, 59},
            ),
            (
                types.Filter(prefix=types.PrefixCondition(field="relative_path", prefix="odd/1")),
                {1, 11, 13, 15, 17, 19},
            ),
            (types.Filter(exists=types.ExistsCondition(field="phash")), set()),
            (
                types.Filter(
                    all_of=types.FilterList(
                        filters=[
                            terms("attributes.shelf", "1"),
                            terms("format", "PNG"),
                            types.Filter(
                                none_of=types.FilterList(filters=[terms("image_name", "6.jpg")])
                            ),
                        ]
                    )
                ),
                {21, 36, 51},
            ),
            (
                types.Filter(
                    any_of=types.FilterList(
                        filters=[terms("image_name", "1.jpg"), terms("caption", "picture 2")]
                    )
                ),
                {1, 2},
            ),
        ],
        ids=["terms", "term", "range", "times", "prefix", "exists", "all_of", "any_of"],
    )
    async def test_a_filter_narrows_the_search(
        self,
        search: SearchServiceAsyncStub,
        filled: str,
        condition: types.Filter,
        wanted: set[int],
    ) -> None:
        found = await search.Search(
            pb.SearchRequest(index=filled, vector=vector(7), k=60, filter=condition)
        )

        assert set(ids_of(found.hits)) == {image_id(n) for n in wanted}

    @pytest.mark.parametrize(
        ("change", "fields"),
        [
            ({"k": 0}, ["k"]),
            ({"k": 1_001}, ["k"]),
            ({"k": 50, "num_candidates": 49}, ["num_candidates"]),
            ({"num_candidates": 10_001}, ["num_candidates"]),
            ({"fields": ["image_name", "image_embedding"]}, ["fields[1]"]),
            ({"min_score": 1.5}, ["min_score"]),
            ({"min_score": math.nan}, ["min_score"]),
            ({"index": "Bad"}, ["index"]),
            ({"filter": types.Filter()}, ["filter"]),
            ({"filter": terms("width", "1")}, ["filter.terms.values[0]"]),
            ({"filter": terms("no_such")}, ["filter.terms.field", "filter.terms.values"]),
            (
                {
                    "filter": types.Filter(
                        all_of=types.FilterList(
                            filters=[terms("tags", "x"), types.Filter(any_of=types.FilterList())]
                        )
                    )
                },
                ["filter.all_of.filters[1].any_of.filters"],
            ),
        ],
        ids=lambda value: ",".join(value),
    )
    async def test_names_what_is_wrong(
        self,
        search: SearchServiceAsyncStub,
        filled: str,
        change: dict[str, object],
        fields: list[str],
    ) -> None:
        request = pb.SearchRequest(index=filled, vector=vector(7))
        request.MergeFrom(pb.SearchRequest(**change))  # type: ignore[arg-type]

        refused = await refusal(search.Search(request))

        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)

    async def test_a_filter_too_deep_is_refused(
        self, search: SearchServiceAsyncStub, filled: str
    ) -> None:
        tree = terms("tags", "all")
        for _ in range(10):
            tree = types.Filter(all_of=types.FilterList(filters=[tree]))

        refused = await refusal(
            search.Search(pb.SearchRequest(index=filled, vector=vector(1), filter=tree))
        )

        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize("name", index_pb.VectorType.keys()[1:])
    async def test_every_vector_type_finds_a_vector_by_itself(
        self,
        indexes: IndexServiceAsyncStub,
        search: SearchServiceAsyncStub,
        new_index: str,
        name: str,
    ) -> None:
        """Scores are exact even where stored vectors are coarse."""
        options = index_pb.IndexOptions(dimensions=64, vector_type=index_pb.VectorType.Value(name))
        await indexes.CreateIndex(
            index_pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
        )
        requests = [upsert(new_index, n) for n in range(20)]
        for n, request in enumerate(requests):
            request.vector.values[:] = unit_vector(n, 64)
        await write(search, *requests)

        found = await search.Search(
            pb.SearchRequest(index=new_index, vector=requests[4].vector, k=3, min_score=0.0)
        )

        assert found.hits[0].document.image_id == image_id(4)
        assert found.hits[0].score == pytest.approx(1, abs=1e-3)
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [("COSINE", 0.6), ("DOT_PRODUCT", 0.6), ("L2_NORM", 1 / 1.8), ("MAX_INNER_PRODUCT", 0.6)],
    )
    async def test_scores_are_in_the_unit_of_the_similarity(
        self,
        indexes: IndexServiceAsyncStub,
        search: SearchServiceAsyncStub,
        new_index: str,
        name: str,
        wanted: float,
    ) -> None:
        """Two unit vectors at an angle of cosine 0.6: squared distance 0.8."""
        options = index_pb.IndexOptions(
            dimensions=2,
            vector_type=index_pb.VECTOR_TYPE_FLAT,
            similarity=index_pb.Similarity.Value(f"SIMILARITY_{name}"),
        )
        await indexes.CreateIndex(
            index_pb.CreateIndexRequest(name=new_index, space=SPACE, options=options)
        )
        near, far = upsert(new_index, 1), upsert(new_index, 2)
        near.vector.values[:] = [0.6, 0.8]
        far.vector.values[:] = [-1.0, 0.0]
        await write(search, near, far)
        query = types.Vector(values=[1.0, 0.0], space=SPACE)

        found = await search.Search(
            pb.SearchRequest(index=new_index, vector=query, min_score=wanted - 0.01)
        )

        assert ids_of(found.hits) == [image_id(1)]
        assert found.hits[0].score == pytest.approx(wanted, abs=1e-4)
        await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))


class TestManyInAMessage:
    async def test_each_is_answered_in_its_place(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        """Two messages with a hundred more documents each; one has none of its own."""
        bad = upsert(index, 50)
        bad.vector.values[:] = [0.0] * DIMENSIONS
        lost = upsert("no-such-index", 51)
        first = pb.UpsertDocumentsRequest(
            request_id="first", more=[*(upsert(index, n) for n in range(50)), bad, lost]
        )
        second = upsert(index, 52)
        second.more.extend(upsert(index, n) for n in range(53, 153))
        for request in (*first.more, *second.more):
            request.refresh = types.REFRESH_POLICY_IMMEDIATE
        answers = await write(search, first, second)

        assert answers["first"].WhichOneof("result") is None
        outcomes = [each.WhichOneof("result") for each in answers["first"].more]
        assert outcomes == ["outcome"] * 50 + ["error"] * 2
        assert [each.request_id for each in answers["first"].more[:3]] == ["0", "1", "2"]
        codes = [each.error.code for each in answers["first"].more[50:]]
        wrong = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
        assert codes == [code.value[0] for code in wrong]
        assert answers["52"].outcome == types.UPSERT_OUTCOME_CREATED
        assert len(answers["52"].more) == 100
        count = await search.CountDocuments(pb.CountDocumentsRequest(index=index))
        assert count.count == 50 + 101

    async def test_no_more_than_a_thousand_and_not_nested(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        nested = pb.UpsertDocumentsRequest(
            request_id="nested", more=[pb.UpsertDocumentsRequest(more=[upsert(index, 1)])]
        )
        many = pb.UpsertDocumentsRequest(
            request_id="many", more=[pb.UpsertDocumentsRequest()] * 1001
        )
        answers = await write(search, nested, many)

        invalid = grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert [answers[each].error.code for each in ("nested", "many")] == [invalid, invalid]


class TestUnderLoad:
    async def test_searches_together_find_what_each_finds_alone(
        self, search: SearchServiceAsyncStub, index: str
    ) -> None:
        """Sixty at once, most of them in shared requests; wrong and cancelled ones between."""
        await write(search, *(upsert(index, n) for n in range(100)))

        async def one(n: int) -> list[str]:
            answer = await search.Search(pb.SearchRequest(index=index, vector=vector(n), k=4))
            return ids_of(answer.hits)

        alone = [await one(n) for n in range(60)]
        wrong = pb.SearchRequest(index=index, vector=vector(1), lucene_query="a:(")
        leaving = [search.Search(pb.SearchRequest(index=index, vector=vector(n))) for n in range(9)]
        refused = asyncio.gather(*(refusal(search.Search(wrong)) for _ in range(9)))
        together = asyncio.gather(*(one(n) for n in range(60)))
        await asyncio.sleep(0.002)
        for call in leaving:
            call.cancel()

        assert await together == alone
        assert {each.fields[0] for each in await refused} == {"lucene_query"}
