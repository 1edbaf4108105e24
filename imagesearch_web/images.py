"""Images of an index: what is known of them, how they look, storing and deleting them."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagesearch_web import caching, downloads, thumbnails
from imagesearch_web.bodies import read_json
from imagesearch_web.gateway import Gateway
from imagesearch_web.messages import answered, as_dict, checked_id, index_of, parsed
from imagesearch_web.problems import invalid
from imagesearch_web.thumbnails import Thumbnails
from imagesearch_web.uploads import Uploads
from service_kit.workers import Workers

_SAID = ("image_name", "relative_path", "url", "page_url", "caption")
_PARAMETERS = {*_SAID, "tags", "refresh", "index"}


class Images:
    """Reads, stores and deletes images.

    Args:
        gateway: Has them.
        uploads: Reads images that are sent.
        workers: Threads that decode.
        pictures: Decodes images.
        index: Of requests that name none.
    """

    def __init__(
        self,
        gateway: Gateway,
        uploads: Uploads,
        workers: Workers,
        pictures: Thumbnails,
        index: str,
    ) -> None:
        self._gateway = gateway
        self._uploads = uploads
        self._workers = workers
        self._pictures = pictures
        self._index = index

    async def image(self, request: Request) -> Response:
        """GetImage."""
        return answered(await self._document(request))

    async def _document(self, request: Request) -> pb.GetImageResponse:
        message = pb.GetImageRequest(
            index=index_of(request, None, self._index), image_id=checked_id(request)
        )
        return await self._gateway.answer(self._gateway.stub.GetImage, message, request.headers)

    async def _content(self, request: Request, original: bool) -> pb.GetImageContentResponse:
        message = pb.GetImageContentRequest(
            index=index_of(request, None, self._index),
            image_id=checked_id(request),
            variant=pb.IMAGE_VARIANT_ORIGINAL if original else pb.IMAGE_VARIANT_THUMBNAIL,
        )
        return await self._gateway.answer(
            self._gateway.stub.GetImageContent, message, request.headers
        )

    async def thumbnail(self, request: Request) -> Response:
        """An image in the size asked for.

        The id is the content's hash, so whoever has a size of it once need never ask again.
        """
        image_id = checked_id(request)
        side = thumbnails.side_of(request.query_params.get("w", ""))
        etag = f'"{image_id[:32]}-{side}-1"'
        if caching.matches(etag, request.headers.get("if-none-match")):
            return caching.unchanged(etag, caching.IMMUTABLE)
        found = await self._content(request, original=side > thumbnails.STORED_SIDE)
        data = found.content
        if side != thumbnails.STORED_SIDE:
            data = await self._workers.run(self._pictures.resized, data, side)
        return Response(
            data,
            media_type=thumbnails.MEDIA_TYPE,
            headers=caching.headers(etag, caching.IMMUTABLE),
        )

    async def original(self, request: Request) -> Response:
        """The very bytes that were stored, to be saved and not to be opened."""
        image_id = checked_id(request)
        etag = f'"{image_id}"'
        if caching.matches(etag, request.headers.get("if-none-match")):
            return caching.unchanged(etag, caching.IMMUTABLE)
        known, found = await asyncio.gather(
            self._document(request), self._content(request, original=True)
        )
        kind = found.content_type
        if not kind.startswith("image/") or kind == "image/svg+xml":
            kind = "application/octet-stream"
        name = downloads.file_name(known.image.image_name, kind, image_id[:16])
        return Response(
            found.content,
            media_type=kind,
            headers={
                **caching.headers(etag, caching.IMMUTABLE),
                "content-disposition": downloads.content_disposition(name),
            },
        )

    async def store(self, request: Request) -> Response:
        """IndexImage."""
        upload, refresh = _upload(request)
        index = index_of(request, None, self._index)
        async with self._uploads.reading(request) as data:
            upload.content = data
            message = pb.IndexImageRequest(index=index, image=upload, refresh=refresh)
            answer = await self._gateway.answer(
                self._gateway.stub.IndexImage,
                message,
                request.headers,
                [("image.content", "body"), ("image.", "")],
            )
        made = answer.indexed.outcome == types.UPSERT_OUTCOME_CREATED
        return JSONResponse(
            as_dict(answer.indexed),
            status_code=201 if made else 200,
            headers={"location": f"/api/v1/images/{answer.indexed.image_id}"} if made else None,
        )

    async def delete(self, request: Request) -> Response:
        """DeleteImages."""
        body = await read_json(request, self._uploads.timeout_s)
        body["index"] = index_of(request, body, self._index)
        message = parsed(body, pb.DeleteImagesRequest())
        answer = await self._gateway.answer(
            self._gateway.stub.DeleteImages, message, request.headers
        )
        return answered(answer)


def _upload(request: Request) -> tuple[pb.ImageUpload, Any]:
    """Reads what is said of an image in the query, and when searches must see it.

    Raises:
        ProblemError: A parameter is not known, or its value cannot be.
    """
    asked = request.query_params
    for name in asked:
        if name not in _PARAMETERS:
            raise invalid(name, f"is none of {', '.join(sorted(_PARAMETERS))}")
    for name in ("url", "page_url"):
        if (value := asked.get(name)) and not _is_web_address(value):
            raise invalid(name, "is no address that begins with http:// or https://")
    refresh = asked.get("refresh", "none")
    values = {"none": 1, "wait_for": 2, "immediate": 3}
    if refresh not in values:
        raise invalid("refresh", f"is none of {', '.join(values)}")
    said: dict[str, Any] = {name: asked[name] for name in _SAID if name in asked}
    return pb.ImageUpload(tags=asked.getlist("tags"), **said), values[refresh]


def _is_web_address(value: str) -> bool:
    try:
        return urlsplit(value).scheme in {"http", "https"}
    except ValueError:
        return False
