"""What the RPCs that search do: each reads as its steps."""

from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from gateway import search_options
from gateway.composed_search import ComposedSearch
from gateway.composing import TEXT, Term, image_term, read_terms
from service_kit.errors import Violations


class SearchRpcs:
    """Searches by images, texts and vectors.

    Args:
        searches: Makes composed searches.
    """

    def __init__(self, searches: ComposedSearch) -> None:
        self._searches = searches

    async def search_by_image(self, request: pb.SearchByImageRequest) -> pb.SearchByImageResponse:
        wrong = Violations()
        term = image_term(request, wrong)
        options = search_options.of_short_form(request, wrong)
        wrong.raise_if_any()
        found = await self._searches.answer(request, options, [term])
        return pb.SearchByImageResponse(
            results=found.results, next_page_token=found.next_page_token
        )

    async def search_by_text(self, request: pb.SearchByTextRequest) -> pb.SearchByTextResponse:
        wrong = Violations()
        options = search_options.of_short_form(request, wrong)
        wrong.raise_if_any()
        found = await self._searches.answer(
            request, options, [Term(TEXT, "text", text=request.text)]
        )
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
        return await self._searches.answer(request, request, terms)
