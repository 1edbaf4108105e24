"""Searches, and the images that they are made with."""

from typing import Any

from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagesearch_web import caching, thumbnails
from imagesearch_web.bodies import read_json
from imagesearch_web.gateway import Gateway
from imagesearch_web.messages import answered, checked_id, index_of, parsed
from imagesearch_web.problems import Moves, ProblemError, invalid
from imagesearch_web.query_images import QueryImages
from imagesearch_web.sources import query_image
from imagesearch_web.thumbnails import Thumbnails
from imagesearch_web.uploads import Uploads
from service_kit.workers import Workers


class Searching:
    """Keeps query images, and searches by them and by all else.

    Args:
        gateway: Searches.
        kept: Query images.
        uploads: Reads images that are sent.
        workers: Threads that decode.
        renderers: Threads that make JSON of large answers.
        pictures: Decodes images.
        index: Of requests that name none.
    """

    def __init__(
        self,
        gateway: Gateway,
        kept: QueryImages,
        uploads: Uploads,
        workers: Workers,
        renderers: Workers,
        pictures: Thumbnails,
        index: str,
    ) -> None:
        self._gateway = gateway
        self._kept = kept
        self._uploads = uploads
        self._workers = workers
        self._renderers = renderers
        self._pictures = pictures
        self._index = index

    async def keep_query_image(self, request: Request) -> Response:
        """Keeps an image to search by."""
        index = index_of(request, None, self._index)
        async with self._uploads.reading(request) as data:
            seen = await self._workers.run(self._pictures.inspect, data)
            image_id = await self._kept.keep(data)
        return JSONResponse(
            {
                "id": image_id,
                **seen,
                "stored": await self._is_stored(index, image_id, request),
            },
            status_code=201,
            headers={"location": f"/api/v1/query-images/{image_id}/thumbnail"},
        )

    async def _is_stored(self, index: str, image_id: str, request: Request) -> bool:
        message = pb.GetImageRequest(index=index, image_id=image_id)
        try:
            await self._gateway.answer(self._gateway.stub.GetImage, message, request.headers)
        except ProblemError as problem:
            if problem.status == 404:
                return False
            raise
        return True

    async def query_thumbnail(self, request: Request) -> Response:
        """A query image in the size asked for."""
        image_id = checked_id(request, "id")
        side = thumbnails.side_of(request.query_params.get("w", ""))
        etag = f'"{image_id[:32]}-{side}-1"'
        data = await query_image(image_id, "id", self._kept)
        if caching.matches(etag, request.headers.get("if-none-match")):
            return caching.unchanged(etag, caching.IMMUTABLE)
        small = await self._workers.run(self._pictures.resized, data, side)
        return Response(
            small,
            media_type=thumbnails.MEDIA_TYPE,
            headers=caching.headers(etag, caching.IMMUTABLE),
        )

    async def search(self, request: Request) -> Response:
        """SearchImages."""
        body = await read_json(request, self._uploads.timeout_s)
        body["index"] = index_of(request, body, self._index)
        message, moves = await self._request(body)
        answer = await self._gateway.answer(
            self._gateway.stub.SearchImages, message, request.headers, moves
        )
        return await self._renderers.run(answered, answer)

    async def _request(self, body: dict[str, Any]) -> tuple[queries_pb.SearchImagesRequest, Moves]:
        terms = body.get("terms", [])
        if not isinstance(terms, list) or not all(isinstance(term, dict) for term in terms):
            raise invalid("terms", "is no list of objects")
        by_query_image: dict[int, object] = {}
        plain = []
        for n, term in enumerate(terms):
            if "image" in term:
                raise invalid(f"terms[{n}].image", "is not taken in JSON; see query_image_id")
            if "query_image_id" in term:
                by_query_image[n] = term["query_image_id"]
            plain.append({name: term[name] for name in term if name != "query_image_id"})
        message = parsed({**body, "terms": plain}, queries_pb.SearchImagesRequest())
        moves = []
        for n, image_id in by_query_image.items():
            field = f"terms[{n}].query_image_id"
            if (other := message.terms[n].WhichOneof("source")) is not None:
                raise invalid(f"terms[{n}]", f"has both query_image_id and {other}")
            message.terms[n].image = await query_image(image_id, field, self._kept)
            moves.append((f"terms[{n}].image", field))
        return message, moves
