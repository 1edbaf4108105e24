"""A composed search from its terms to a page of results."""

from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.message import Message
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as search_pb

from gateway import explaining, folding, paging, relevance, search_options, search_wire
from gateway.clients.embedder import Embedder
from gateway.clients.search import Search
from gateway.composing import Resolved, Term, resolve
from gateway.errors import ExplanationMissingError
from gateway.levels import LevelMeter
from gateway.paging import Found, Place
from gateway.query_images import QueryImages
from gateway.relevance import Scale
from image_kit.naming import index_name
from service_kit.workers import Workers

_COSINES = (index_pb.SIMILARITY_COSINE, index_pb.SIMILARITY_DOT_PRODUCT)


class ComposedSearch:
    """Searches by terms.

    Args:
        embedder: Makes vectors of texts.
        search: Finds vectors.
        images: Gets the images that requests name.
        meter: Says what fitting images score.
        workers: Threads for arithmetic.
    """

    def __init__(
        self,
        embedder: Embedder,
        search: Search,
        images: QueryImages,
        meter: LevelMeter,
        workers: Workers,
    ) -> None:
        self._embedder = embedder
        self._search = search
        self._images = images
        self._meter = meter
        self._workers = workers

    async def answer(
        self, asked: Message, options: queries_pb.SearchImagesRequest, terms: Sequence[Term]
    ) -> queries_pb.SearchImagesResponse:
        """Answers a search, or a page of one.

        Args:
            asked: The request as it came: a page token is good for the same one only.
            options: Everything but what to look for.
            terms: What to look for.

        Raises:
            ServiceError: With the fields of the request as it came.
        """
        digest, place = "", None
        if options.page_size:
            digest = await self._workers.run(paging.digest, asked)
            if options.page_token:
                place = paging.read(options.page_token, digest)
        first = place is None
        if place is None:
            place = Place(await resolve(terms, self._embedder, self._images))
        response = queries_pb.SearchImagesResponse(
            truncated_terms=[i for i, term in enumerate(place.terms) if term.truncated]
        )
        if first and search_options.wants_relevance(options) and search_options.is_bounded(options):
            place = await self._probe(options, place, response)
        if options.fold_versions and not first:
            place, page = self._next_folded(options, place)
        else:
            place, page = await self._find(options, place, response, first)
        await self._render(options, place, page, response)
        if place.inner or place.rest:
            response.next_page_token = paging.write(digest, place)
        return response

    async def _probe(
        self,
        options: queries_pb.SearchImagesRequest,
        place: Place,
        response: queries_pb.SearchImagesResponse,
    ) -> Place:
        """Looks at the best result of all, before the bounds of the request leave it out."""
        unbounded = queries_pb.SearchImagesRequest()
        unbounded.CopyFrom(options)
        for bound in ("min_score", "min_relevance", "k", "num_candidates", "facets", "page_size"):
            unbounded.ClearField(bound)
        request = search_wire.search_request(unbounded, place.terms)
        request.with_background, request.k = True, 1
        request.fields[:] = ["image_id"]
        found = await self._search.search(request, search_wire.moves(place.terms))
        scale = await self._scale(found.background, place.terms)
        response.nothing_matches = not any(hit.score >= scale.even for hit in found.hits)
        return replace(place, scale=scale)

    async def _scale(self, background: search_pb.Background, terms: Sequence[Resolved]) -> Scale:
        levels = await self._meter.of(terms[0].vector.space)
        return relevance.scale(
            background.percentiles,
            background.vector_medians,
            background.sample_size,
            terms,
            levels,
        )

    async def _find(
        self,
        options: queries_pb.SearchImagesRequest,
        place: Place,
        response: queries_pb.SearchImagesResponse,
        first: bool,
    ) -> tuple[Place, list["_Shown"]]:
        """Asks search_service for a page; for all results where they are to be folded."""
        request = search_wire.search_request(options, place.terms)
        if options.HasField("min_relevance"):
            assert place.scale is not None
            least = place.scale.score(options.min_relevance)
            request.min_score = (
                max(least, options.min_score) if options.HasField("min_score") else least
            )
        if not options.fold_versions:
            request.page_size, request.page_token = options.page_size, place.inner
        request.with_background = search_options.wants_relevance(
            options
        ) and not search_options.is_bounded(options)
        found = await self._search.search(request, search_wire.moves(place.terms))
        if request.with_background and place.scale is None:
            place = replace(place, scale=await self._scale(found.background, place.terms))
            assert place.scale is not None
            even = place.scale.even
            response.nothing_matches = not any(hit.score >= even for hit in found.hits)
        if first:
            response.facets.extend(search_wire.facets(found.facets))
        page = [_Shown(hit.document.image_id, hit.score, hit.document) for hit in found.hits]
        if not options.fold_versions:
            return replace(place, inner=found.next_page_token), page
        page = await self._fold(options, page)
        size = options.page_size or len(page)
        rest = [Found(each.image_id, each.score, tuple(each.folded)) for each in page[size:]]
        return replace(place, rest=rest), page[:size]

    def _next_folded(
        self, options: queries_pb.SearchImagesRequest, place: Place
    ) -> tuple[Place, list["_Shown"]]:
        size = options.page_size
        page = [_Shown(each.image_id, each.score, None, each.folded) for each in place.rest[:size]]
        return replace(place, rest=place.rest[size:]), page

    async def _fold(
        self, options: queries_pb.SearchImagesRequest, page: list["_Shown"]
    ) -> list["_Shown"]:
        """Puts near-identical results together."""
        if not page:
            return []
        ids = [each.image_id for each in page]
        known = await self._search.documents(index_name(options.index), ids, with_vectors=True)
        there = [(shown, each) for shown, each in zip(page, known, strict=True) if each is not None]
        groups = await self._workers.run(_groups, [each for _, each in there])
        return [
            _with_folded(there[group[0]][0], [there[i][0].image_id for i in group[1:]])
            for group in groups
        ]

    async def _render(
        self,
        options: queries_pb.SearchImagesRequest,
        place: Place,
        page: list["_Shown"],
        response: queries_pb.SearchImagesResponse,
    ) -> None:
        """Fills the response with a page."""
        missing = any(each.document is None for each in page)
        known: Sequence[search_pb.GetDocumentsResult | None] = [None] * len(page)
        if options.explain:
            await self._check_explains(options)
        if page and (missing or options.explain):
            ids = [each.image_id for each in page]
            index = index_name(options.index)
            known = await self._search.documents(index, ids, with_vectors=options.explain)
        explanations: list[list[queries_pb.TermScore]] = []
        if options.explain:
            vectors = [each.vector if each is not None else None for each in known]
            explanations = await self._workers.run(_explain, place.terms, vectors)
        for i, (shown, read) in enumerate(zip(page, known, strict=True)):
            document = shown.document
            if document is None and read is not None:
                document = search_wire.selected(read.document, options.fields)
            if document is None:  # it was deleted after the first page
                continue
            result = response.results.add(
                image=document, score=shown.score, folded_image_ids=shown.folded
            )
            if place.scale is not None:
                result.relevance = place.scale.relevance(shown.score)
            if options.explain:
                result.explanation.extend(explanations[i])
        if place.scale is not None:
            response.background.CopyFrom(
                queries_pb.Background(
                    sample_size=place.scale.sample_size,
                    median=place.scale.median,
                    spread=place.scale.spread,
                    even_score=place.scale.even,
                )
            )

    async def _check_explains(self, options: queries_pb.SearchImagesRequest) -> None:
        found = await self._search.index(index_name(options.index))
        if found is not None and found.options.similarity not in _COSINES:
            raise ExplanationMissingError(found.name)


class _Shown:
    """A result on its way to the page; its document may have to be read yet."""

    def __init__(
        self,
        image_id: str,
        score: float,
        document: types.Document | None,
        folded: Sequence[str] = (),
    ) -> None:
        self.image_id = image_id
        self.score = score
        self.document = document
        self.folded = folded


def _with_folded(shown: _Shown, folded: Sequence[str]) -> _Shown:
    """The same result with others folded into it."""
    return _Shown(shown.image_id, shown.score, shown.document, folded)


def _groups(known: Sequence[search_pb.GetDocumentsResult]) -> list[list[int]]:
    vectors = explaining.unit_rows([each.vector for each in known])
    return folding.fold([each.document.phash for each in known], vectors)


def _explain(
    terms: Sequence[Resolved], vectors: Sequence[types.Vector | None]
) -> list[list[queries_pb.TermScore]]:
    """Explains each result; one that is not there any more gets nothing."""
    there = [vector for vector in vectors if vector is not None]
    explained = iter(explaining.explain(terms, explaining.unit_rows(there)))
    return [next(explained) if vector is not None else [] for vector in vectors]
