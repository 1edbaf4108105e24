"""SearchImages over gRPC: composed queries, relevance, folding, explanations, pages."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.gateway.v1 import image_search_service_pb2 as gateway_pb
from imagesearch.gateway.v1 import queries_pb2 as pb
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as search_pb
from PIL import Image

from imagesearch_client import AsyncClient, box, field, pixel_box, term, upload
from imagesearch_dev.captions import LANGUAGES, Query, caption
from imagesearch_dev.drawings import Drawing, draw, random_drawing
from tests.conftest import INDEX_PREFIX
from tests.helpers import a_picture, encoded, ids_of, image_id, refusal, unit_vector

if TYPE_CHECKING:
    from imagesearch.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

SIDE = 112
ABSENT = ("moon", "heart")
"""Shapes that the index does not have."""


def drawings() -> list[Drawing]:
    rng = random.Random(3)
    made = [random_drawing(rng) for _ in range(260)]
    return [each for each in made if each.shape not in ABSENT][:160]


def png(image: Image.Image) -> bytes:
    return encoded(image, "PNG")


@pytest.fixture(scope="module")
async def client(gateway_address: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(gateway_address) as made:
        yield made


@pytest.fixture(scope="module")
async def shapes(client: AsyncClient) -> str:
    """An index of drawings without two kinds of shapes, and of versions of the first ten."""
    index = f"{INDEX_PREFIX}composed"
    uploads = []
    for n, drawing in enumerate(drawings()):
        image = draw(drawing, SIDE)
        tags = [drawing.shape, drawing.colour]
        uploads.append(upload(png(image), relative_path=f"{n}.png", tags=tags))
        if n < 10:
            for quality in (70, 40):
                content = encoded(image, "JPEG", quality=quality)
                uploads.append(upload(content, relative_path=f"{n}-{quality}.jpg", tags=tags))
    outcomes = [each async for each in client.index_images(uploads, index=index)]
    assert all(outcome.error is None for outcome in outcomes)
    return index


def number_of(relative_path: str) -> int:
    """Which of the drawings a file is, or is a version of."""
    return int(relative_path.split(".")[0].split("-")[0])


def shapes_of(results: Any) -> list[str]:
    made = drawings()
    return [made[number_of(result.image.relative_path)].shape for result in results]


class TestTerms:
    async def test_one_term_is_as_the_short_form(self, client: AsyncClient, shapes: str) -> None:
        picture = png(draw(drawings()[3], SIDE))
        by_image = await client.search_by_image(picture, index=shapes, k=5)
        by_text = await client.search_by_text("two red circles", index=shapes, k=5)

        composed = await client.search_images(term(image=picture), index=shapes, k=5)
        in_words = await client.search_images("two red circles", index=shapes, k=5)

        assert composed.results == by_image.results
        assert in_words.results == by_text.results

    async def test_a_negative_term_pushes_away(self, client: AsyncClient, shapes: str) -> None:
        like = await client.search_images("red", index=shapes, k=15)
        unlike = await client.search_images(
            "red", term("a red circle", weight=-0.6), index=shapes, k=15
        )

        assert "circle" in shapes_of(like.results)
        assert shapes_of(unlike.results).count("circle") < shapes_of(like.results).count("circle")

    async def test_all_kinds_of_terms_together(
        self, client: AsyncClient, embedder: EmbedderServiceAsyncStub, shapes: str
    ) -> None:
        """Scores are the weighted mean of the cosines, whatever the terms are."""
        picture = png(draw(drawings()[0], SIDE))
        stored = (await client.search_by_image(picture, index=shapes, k=1)).results[0].image
        inputs = [embedder_pb.EmbedInput(text="a blue star")]
        embedded = await embedder.Embed(embedder_pb.EmbedRequest(inputs=inputs), timeout=20)
        terms = [
            term(image=picture),
            term(image_id=stored.image_id, weight=0.5),
            term("a yellow square", weight=-0.25),
            term(vector=embedded.results[0].vector, weight=2),
            term(image=picture, region=box(0, 0, 0.5, 0.5), weight=0.75),
        ]

        found = await client.search_images(*terms, index=shapes, k=20, explain=True)

        weights = [1, 0.5, -0.25, 2, 0.75]
        assert len(found.results) == 20
        for result in found.results:
            cosines = [each.similarity for each in result.explanation]
            mean = sum(w * c for w, c in zip(weights, cosines, strict=True)) / 4.5
            assert result.score == pytest.approx(mean, abs=2e-3)
            contributions = sum(each.contribution for each in result.explanation)
            assert contributions == pytest.approx(result.score, abs=2e-3)

    async def test_a_region_looks_for_a_part(self, client: AsyncClient, shapes: str) -> None:
        """Of two pictures side by side, each half finds its own; also of a stored image."""
        left, right = draw(drawings()[20], SIDE), draw(drawings()[31], SIDE)
        both = Image.new("RGB", (2 * SIDE, SIDE))
        both.paste(left, (0, 0))
        both.paste(right, (SIDE, 0))
        content = png(both)
        stored = await client.index_image(
            upload(content), index=f"{shapes}-pairs", refresh=types.REFRESH_POLICY_IMMEDIATE
        )

        halves = [
            term(image=content, region=box(0, 0, 0.5, 1)),
            term(image=content, region=pixel_box(SIDE, 0, SIDE, SIDE)),
        ]
        found = [
            (await client.search_images(half, index=shapes, k=1)).results[0].image.relative_path
            for half in halves
        ]
        of_stored = await client.search_images(
            term(image_id=stored.indexed.image_id, region=box(0, 0, 0.5, 1)),
            index=f"{shapes}-pairs",
            k=1,
        )
        whole = await client.search_images(
            term(image_id=stored.indexed.image_id), index=f"{shapes}-pairs", k=1
        )

        assert found == ["20.png", "31.png"]
        assert of_stored.results[0].score < 0.99 < whole.results[0].score

    async def test_filters_lucene_facets_and_fields(self, client: AsyncClient, shapes: str) -> None:
        found = await client.search_images(
            "a circle",
            index=shapes,
            k=100,
            filter=field("tags").is_in("circle", "star"),
            lucene_query="tags:(red OR blue) AND NOT format:JPEG",
            facets=["tags", "format"],
            fields=["tags"],
            exact=False,
        )

        assert found.results
        for result in found.results:
            assert set(result.image.tags) & {"circle", "star"}
            assert set(result.image.tags) & {"red", "blue"}
            assert result.image.width == 0
        assert [facet.field for facet in found.facets] == ["tags", "format"]
        assert sum(value.count for value in found.facets[1].values) == len(found.results)

    async def test_texts_that_were_cut_are_named(self, client: AsyncClient, shapes: str) -> None:
        found = await client.search_images("red", "circle " * 500, index=shapes)
        assert list(found.truncated_terms) == [1]


class TestRelevance:
    @pytest.mark.parametrize("language", LANGUAGES)
    async def test_texts_with_and_without_a_match(
        self, client: AsyncClient, shapes: str, language: str
    ) -> None:
        there = caption(Query(shape="star", count=1, colour="blue"), language)

        match = await client.search_images(there, index=shapes, with_relevance=True)
        none = await client.search_images(
            "stock market quotations of yesterday", index=shapes, with_relevance=True
        )

        assert match.results[0].relevance > 0.5
        assert not match.nothing_matches
        assert none.nothing_matches
        assert all(result.relevance < 0.5 for result in none.results)

    async def test_images_with_and_without_a_match(self, client: AsyncClient, shapes: str) -> None:
        noise = png(Image.effect_noise((SIDE, SIDE), 90).convert("RGB"))

        match = await client.search_images(
            term(image=png(draw(drawings()[5], SIDE))), index=shapes, with_relevance=True
        )
        none = await client.search_images(term(image=noise), index=shapes, with_relevance=True)

        assert match.results[0].relevance > 0.9
        assert match.background.sample_size == 180
        assert match.background.median < match.background.even_score < 1
        assert none.nothing_matches

    async def test_a_least_relevance_leaves_out_what_is_less(
        self, client: AsyncClient, shapes: str
    ) -> None:
        everything = await client.search_images(
            "a blue star", index=shapes, k=50, with_relevance=True
        )
        some = await client.search_images("a blue star", index=shapes, k=50, min_relevance=0.5)
        none = await client.search_images("invoices", index=shapes, k=50, min_relevance=0.5)

        wanted = [r.image.image_id for r in everything.results if r.relevance >= 0.5]
        assert 0 < len(wanted) < 50
        assert ids_of(some.results) == wanted
        assert not some.nothing_matches
        assert none.nothing_matches
        assert not none.results
        assert none.background.sample_size == 180

    async def test_not_asked_for_not_given(self, client: AsyncClient, shapes: str) -> None:
        found = await client.search_images("invoices", index=shapes)
        assert not found.results[0].HasField("relevance")
        assert not found.HasField("background")
        assert not found.nothing_matches

    async def test_the_background_is_of_the_index_as_it_is(
        self,
        images: ImageSearchServiceAsyncStub,
        search: SearchServiceAsyncStub,
        client: AsyncClient,
        new_index: str,
    ) -> None:
        """A small index that grows is sampled anew."""
        await client.index_image(
            upload(a_picture(1)), index=new_index, refresh=types.REFRESH_POLICY_IMMEDIATE
        )
        first = await client.search_images("a", index=new_index, with_relevance=True)
        assert first.background.sample_size == 1


class TestPages:
    @pytest.mark.parametrize("options", [{}, {"with_relevance": True, "explain": True}])
    async def test_pages_are_the_whole_in_parts(
        self, client: AsyncClient, shapes: str, options: dict[str, Any]
    ) -> None:
        asked: dict[str, Any] = {"index": shapes, "k": 23, **options}
        picture = term(image=png(draw(drawings()[7], SIDE)))
        whole = await client.search_images(picture, term("red", weight=-0.1), **asked)

        pages = await all_pages(client, picture, term("red", weight=-0.1), page_size=10, **asked)

        assert [len(page.results) for page in pages] == [10, 10, 3]
        joined = [result for page in pages for result in page.results]
        assert ids_of(joined) == ids_of(whole.results)
        if options:
            for one, other in zip(joined, whole.results, strict=True):
                assert one.relevance == pytest.approx(other.relevance, abs=1e-3)
                assert len(one.explanation) == 2

    async def test_short_forms_have_pages_too(self, client: AsyncClient, shapes: str) -> None:
        first = await client.search_by_text("red", index=shapes, k=5, page_size=3)
        token = first.next_page_token
        second = await client.search_by_text(
            "red", index=shapes, k=5, page_size=3, page_token=token
        )
        whole = await client.search_by_text("red", index=shapes, k=5)

        assert ids_of([*first.results, *second.results]) == ids_of(whole.results)
        assert second.next_page_token == ""

    async def test_facets_are_of_the_first_page(self, client: AsyncClient, shapes: str) -> None:
        pages = await all_pages(client, "red", index=shapes, k=20, page_size=15, facets=["format"])
        assert [len(page.facets) for page in pages] == [1, 0]
        assert sum(v.count for v in pages[0].facets[0].values) == 20


async def all_pages(
    client: AsyncClient, *terms: pb.QueryTerm | str, **options: Any
) -> list[pb.SearchImagesResponse]:
    pages = [await client.search_images(*terms, **options)]
    while token := pages[-1].next_page_token:
        pages.append(await client.search_images(*terms, page_token=token, **options))
    return pages


class TestFolding:
    @pytest.mark.parametrize("page_size", [0, 7])
    async def test_nothing_is_shown_twice_and_nothing_lost(
        self, client: AsyncClient, shapes: str, page_size: int
    ) -> None:
        plain = await client.search_images("a circle", index=shapes, k=180)

        pages = await all_pages(
            client,
            "a circle",
            index=shapes,
            k=180,
            fold_versions=True,
            page_size=page_size,
            with_relevance=True,
            fields=["relative_path"],
        )

        results = [result for page in pages for result in page.results]
        shown = ids_of(results)
        folded = [each for result in results for each in result.folded_image_ids]
        assert len(plain.results) == 180
        assert sorted([*shown, *folded]) == sorted(ids_of(plain.results))
        assert [r.score for r in results] == sorted((r.score for r in results), reverse=True)
        assert all(r.image.relative_path and not r.image.width for r in results)
        assert all(r.HasField("relevance") for r in results)
        if page_size:
            assert {len(page.results) for page in pages[:-1]} == {page_size}

    async def test_versions_are_folded_and_other_pictures_are_not(
        self, client: AsyncClient, shapes: str
    ) -> None:
        plain = await client.search_images("a circle", index=shapes, k=180)
        names = {r.image.image_id: r.image.relative_path for r in plain.results}
        found = await client.search_images("a circle", index=shapes, k=180, fold_versions=True)

        together = 0
        for result in found.results:
            number = number_of(result.image.relative_path)
            for each in result.folded_image_ids:
                assert number_of(names[each]) == number
                together += 1
        assert together >= 18  # of 20 versions


BROKEN = {
    "no_terms": (pb.SearchImagesRequest(), {"terms"}),
    "many_terms": (pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")] * 33), {"terms"}),
    "no_source": (pb.SearchImagesRequest(terms=[pb.QueryTerm(weight=1)]), {"terms[0].source"}),
    "no_weight": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a", weight=0)]),
        {"terms[0].weight"},
    ),
    "infinite": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a", weight=float("inf"))]),
        {"terms[0].weight"},
    ),
    "id": (pb.SearchImagesRequest(terms=[pb.QueryTerm(image_id="A")]), {"terms[0].image_id"}),
    "images": (
        pb.SearchImagesRequest(
            terms=[
                pb.QueryTerm(image=b"none"),
                pb.QueryTerm(text="fine"),
                pb.QueryTerm(image=b""),
                pb.QueryTerm(text=""),
            ]
        ),
        {"terms[0].image", "terms[2].image", "terms[3].text"},
    ),
    "region": (
        pb.SearchImagesRequest(
            terms=[pb.QueryTerm(image=a_picture(1), region=pixel_box(90, 0, 90, 9))]
        ),
        {"terms[0].region.pixels"},
    ),
    "vector_space": (
        pb.SearchImagesRequest(
            terms=[pb.QueryTerm(text="a"), pb.QueryTerm(vector=types.Vector(values=[1]))]
        ),
        {"terms[1].vector.space"},
    ),
    "k": (pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], k=0), {"k"}),
    "candidates": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], num_candidates=1),
        {"num_candidates"},
    ),
    "filter": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], filter=types.Filter()),
        {"filter"},
    ),
    "lucene": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], lucene_query="a" * 5000),
        {"lucene_query"},
    ),
    "fields": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], fields=["nothing"]),
        {"fields[0]"},
    ),
    "min_score": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], min_score=2),
        {"min_score"},
    ),
    "min_relevance": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], min_relevance=1.1),
        {"min_relevance"},
    ),
    "relevance_nan": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], min_relevance=float("nan")),
        {"min_relevance"},
    ),
    "facets": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], facets=["nothing"]),
        {"facets[0]"},
    ),
    "page_size": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], page_size=1001),
        {"page_size"},
    ),
    "page_token": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], page_token="x"),
        {"page_token"},
    ),
    "wrong_token": (
        pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], page_size=3, page_token="x"),
        {"page_token"},
    ),
    "several": (
        pb.SearchImagesRequest(
            terms=[pb.QueryTerm(), pb.QueryTerm(text="a", weight=0)], min_relevance=-1, page_size=-1
        ),
        {"terms[0].source", "terms[1].weight", "min_relevance", "page_size"},
    ),
}


class TestRefusals:
    @pytest.mark.parametrize("case", BROKEN)
    async def test_wrong_fields_are_all_named(
        self, images: ImageSearchServiceAsyncStub, shapes: str, case: str
    ) -> None:
        request, fields = BROKEN[case]
        asked = pb.SearchImagesRequest()
        asked.CopyFrom(request)
        asked.index = shapes

        refused = await refusal(images.SearchImages(asked, timeout=20))

        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert set(refused.fields) == fields
        assert refused.reason
        for name in fields:
            assert name in refused.message

    async def test_what_is_not_there(
        self, images: ImageSearchServiceAsyncStub, shapes: str, new_index: str
    ) -> None:
        missing = pb.SearchImagesRequest(terms=[pb.QueryTerm(image_id=image_id(0))], index=shapes)
        no_index = pb.SearchImagesRequest(terms=[pb.QueryTerm(text="a")], index=new_index)
        url = pb.SearchImagesRequest(
            terms=[pb.QueryTerm(url="http://example.org/a.png")], index=shapes
        )

        codes = [
            (await refusal(images.SearchImages(request, timeout=20))).code
            for request in (missing, no_index, url)
        ]

        assert codes == [
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.PERMISSION_DENIED,
        ]

    async def test_a_vector_of_another_model(
        self, images: ImageSearchServiceAsyncStub, shapes: str
    ) -> None:
        vector = types.Vector(values=unit_vector(1), space="other")
        request = pb.SearchImagesRequest(
            terms=[pb.QueryTerm(text="a"), pb.QueryTerm(vector=vector)], index=shapes
        )

        refused = await refusal(images.SearchImages(request, timeout=20))

        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "SPACE_MISMATCH"
        assert refused.fields == ["terms[1].vector.space"]

    async def test_a_token_of_another_search(
        self, images: ImageSearchServiceAsyncStub, client: AsyncClient, shapes: str
    ) -> None:
        for fold in (False, True):
            first = await client.search_images(
                "red", index=shapes, k=20, page_size=5, fold_versions=fold
            )
            request = pb.SearchImagesRequest(
                terms=[pb.QueryTerm(text="blue")],
                index=shapes,
                k=20,
                page_size=5,
                fold_versions=fold,
                page_token=first.next_page_token,
            )
            refused = await refusal(images.SearchImages(request, timeout=20))
            assert refused.fields == ["page_token"]

    async def test_the_short_forms_name_their_own_fields(
        self, images: ImageSearchServiceAsyncStub, shapes: str
    ) -> None:
        by_image = gateway_pb.SearchByImageRequest(image=b"none", index=shapes)
        with_region = gateway_pb.SearchByImageRequest(
            image=a_picture(1), index=shapes, region=box(0.5, 0, 0.2, 1)
        )
        by_text = gateway_pb.SearchByTextRequest(text="", index=shapes)

        assert (await refusal(images.SearchByImage(by_image, timeout=9))).fields == ["image"]
        assert (await refusal(images.SearchByImage(with_region, timeout=9))).fields == [
            "region.box"
        ]
        assert (await refusal(images.SearchByText(by_text, timeout=9))).fields == ["text"]


class TestBackground:
    """search_service's part."""

    async def test_percentiles_of_the_whole_index(
        self, search: SearchServiceAsyncStub, embedder: EmbedderServiceAsyncStub, shapes: str
    ) -> None:
        inputs = [embedder_pb.EmbedInput(text=text) for text in ("red", "a circle")]
        embedded = await embedder.Embed(embedder_pb.EmbedRequest(inputs=inputs), timeout=20)
        red, circle = (result.vector for result in embedded.results)

        every = await search.Search(
            search_pb.SearchRequest(index=shapes, vector=red, k=180, with_background=True)
        )
        both = await search.Search(
            search_pb.SearchRequest(
                index=shapes,
                vectors=[
                    search_pb.WeightedVector(vector=red, weight=1),
                    search_pb.WeightedVector(vector=circle, weight=-0.5),
                ],
                k=180,
                with_background=True,
            )
        )

        for response in (every, both):
            scores = sorted(hit.score for hit in response.hits)
            percentiles = response.background.percentiles
            assert response.background.sample_size == 180
            assert len(percentiles) == 101
            assert percentiles[0] == pytest.approx(scores[0], abs=2e-3)
            assert percentiles[50] == pytest.approx((scores[89] + scores[90]) / 2, abs=2e-3)
            assert percentiles[100] == pytest.approx(scores[-1], abs=2e-3)
        assert list(every.background.vector_medians) == pytest.approx(
            [every.background.percentiles[50]]
        )
        assert len(both.background.vector_medians) == 2

    async def test_only_for_cosines(
        self, indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub, new_index: str
    ) -> None:
        options = index_pb.IndexOptions(dimensions=16, similarity=index_pb.SIMILARITY_L2_NORM)
        await indexes.CreateIndex(
            index_pb.CreateIndexRequest(name=new_index, space="s", options=options)
        )
        vector = types.Vector(values=unit_vector(1), space="s")
        request = search_pb.SearchRequest(index=new_index, vector=vector, with_background=True)

        refused = await refusal(search.Search(request))

        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "NO_BACKGROUND"

    async def test_an_empty_index_has_an_empty_one(
        self, indexes: IndexServiceAsyncStub, search: SearchServiceAsyncStub, new_index: str
    ) -> None:
        options = index_pb.IndexOptions(dimensions=16)
        await indexes.CreateIndex(
            index_pb.CreateIndexRequest(name=new_index, space="s", options=options)
        )
        vector = types.Vector(values=unit_vector(1), space="s")
        request = search_pb.SearchRequest(index=new_index, vector=vector, with_background=True)

        found = await search.Search(request)

        assert found.background.sample_size == 0
        assert not found.background.percentiles
