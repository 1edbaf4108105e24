"""What the RPCs that search do: each reads as its steps."""

from collections.abc import Sequence

from google.protobuf.message import Message
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from gateway import search_options
from gateway.composed_search import ComposedSearch
from gateway.composing import TEXT, Term, image_term, read_terms
from gateway.metrics import Metrics
from service_kit.errors import Violations


class SearchRpcs:
    """Searches by images, texts and vectors.

    Args:
        searches: Makes composed searches.
        metrics: Notes how much they find.
    """

    def __init__(self, searches: ComposedSearch, metrics: Metrics) -> None:
        self._searches = searches
        self._metrics = metrics

    async def search_by_image(self, request: pb.SearchByImageRequest) -> pb.SearchByImageResponse:
        wrong = Violations()
        term = image_term(request, wrong)
        options = search_options.of_short_form(request, wrong)
        wrong.raise_if_any()
        found = await self._answer(request, options, [term])
        return pb.SearchByImageResponse(
            results=found.results, next_page_token=found.next_page_token
        )

    async def search_by_text(self, request: pb.SearchByTextRequest) -> pb.SearchByTextResponse:
        wrong = Violations()
        options = search_options.of_short_form(request, wrong)
        wrong.raise_if_any()
        found = await self._answer(request, options, [Term(TEXT, "text", text=request.text)])
        return pb.SearchByTextResponse(
            results=found.results,
            next_page_token=found.next_page_token,
            truncated=bool(found.truncated_terms),
        )

    async def search_images(
        self, request: queries_pb.SearchImagesRequest
    ) -> queries_pb.SearchImagesResponse:
        wrong = Violations()
        terms = read_terms(request, wrong)
        search_options.check(request, wrong)
        wrong.raise_if_any()
        return await self._answer(request, request, terms)

    async def _answer(
        self,
        asked: Message,
        options: queries_pb.SearchImagesRequest,
        terms: Sequence[Term],
    ) -> queries_pb.SearchImagesResponse:
        found = await self._searches.answer(asked, options, terms)
        self._metrics.results(len(found.results))
        return found
