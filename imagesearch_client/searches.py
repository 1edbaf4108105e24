"""Searching: by image, by text, and composed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from imagesearch_client import filters, values
from imagesearch_client.calls import Calls

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub


class Searches:
    """The calls that search."""

    _stub: "ImageSearchServiceAsyncStub"
    _calls: Calls

    async def search_by_image(
        self,
        image: values.ImageInput | None = None,
        *,
        url: str | None = None,
        image_id: str | None = None,
        region: queries_pb.Region | None = None,
        index: str = "",
        k: int | None = None,
        num_candidates: int | None = None,
        filter: filters.Filter | types.Filter | None = None,
        fields: Iterable[str] = (),
        min_score: float | None = None,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> pb.SearchByImageResponse:
        """Finds images that look like an image: exactly one of `image`, `url` and `image_id`.

        Args:
            image: The encoded image, or its file.
            url: Its address, where the server allows that.
            image_id: Id of an image of the index.
            region: Only this part of it is looked for: see `box` and `pixel_box`.
            index: Name of the index; "" for the default.
            k: Most results, 1 to 1,000. None: 10.
            num_candidates: Candidates looked at in each shard; more raise recall and time.
            filter: Only images that match: see `field`.
            fields: Fields of Document to return; none: all.
            min_score: Only results with at least this score.
            page_size: Results in one answer; 0: all.
            page_token: `next_page_token` of the page before.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.SearchByImageRequest(
            **values.one_source(image, url, image_id),
            region=region,
            index=index,
            k=k,
            num_candidates=num_candidates,
            filter=filters.message_of(filter),
            fields=fields,
            min_score=min_score,
            page_size=page_size,
            page_token=page_token,
        )
        return await self._calls.one(self._stub.SearchByImage, request, timeout)

    async def search_by_text(
        self,
        text: str,
        *,
        index: str = "",
        k: int | None = None,
        num_candidates: int | None = None,
        filter: filters.Filter | types.Filter | None = None,
        fields: Iterable[str] = (),
        min_score: float | None = None,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> pb.SearchByTextResponse:
        """Finds images that show what a text says, in any language that the model knows.

        Args:
            text: What to look for.
            index: As of `search_by_image`, like all that follow.
            k: Most results.
            num_candidates: Candidates looked at in each shard.
            filter: Only images that match.
            fields: Fields of Document to return.
            min_score: Only results with at least this score.
            page_size: Results in one answer; 0: all.
            page_token: `next_page_token` of the page before.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.SearchByTextRequest(
            text=text,
            index=index,
            k=k,
            num_candidates=num_candidates,
            filter=filters.message_of(filter),
            fields=fields,
            min_score=min_score,
            page_size=page_size,
            page_token=page_token,
        )
        return await self._calls.one(self._stub.SearchByText, request, timeout)

    async def search_images(
        self,
        *terms: queries_pb.QueryTerm | str,
        index: str = "",
        k: int | None = None,
        num_candidates: int | None = None,
        filter: filters.Filter | types.Filter | None = None,
        lucene_query: str = "",
        fields: Iterable[str] = (),
        min_score: float | None = None,
        min_relevance: float | None = None,
        with_relevance: bool = False,
        facets: Iterable[str] = (),
        page_size: int = 0,
        page_token: str = "",
        fold_versions: bool = False,
        explain: bool = False,
        exact: bool = False,
        timeout: float | None = None,
    ) -> queries_pb.SearchImagesResponse:
        """Finds images by several images, texts, regions and vectors together.

        Args:
            terms: What results should be like, and unlike: see `term`. A string is a text.
            index: Name of the index; "" for the default.
            k: Most results over all pages, 1 to 1,000. None: 10.
            num_candidates: Candidates looked at in each shard.
            filter: Only images that match.
            lucene_query: Lucene query that they must match too.
            fields: Fields of Document to return; none: all.
            min_score: Only results with at least this score.
            min_relevance: Only results with at least this relevance, 0 to 1.
            with_relevance: Say of each result how relevant it is.
            facets: Fields whose values are counted among the results.
            page_size: Results in one answer; 0: all.
            page_token: `next_page_token` of the page before.
            fold_versions: Show of near-identical images only the best.
            explain: Say of each result what each term gave to its score.
            exact: Compare every vector, where the index allows it.
            timeout: Seconds to wait. None: the client's.

        Raises:
            ImageSearchError: It failed.
        """
        request = queries_pb.SearchImagesRequest(
            terms=[values.term(each) if isinstance(each, str) else each for each in terms],
            index=index,
            k=k,
            num_candidates=num_candidates,
            filter=filters.message_of(filter),
            lucene_query=lucene_query,
            fields=fields,
            min_score=min_score,
            min_relevance=min_relevance,
            with_relevance=with_relevance,
            facets=facets,
            page_size=page_size,
            page_token=page_token,
            fold_versions=fold_versions,
            explain=explain,
            exact=exact,
        )
        return await self._calls.one(self._stub.SearchImages, request, timeout)
