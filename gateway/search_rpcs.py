"""What the RPCs that search do: each reads as its steps."""

from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from gateway import wire
from gateway.clients import Embedder, Search
from gateway.query_images import QueryImages


class SearchRpcs:
    """Searches by images, texts and vectors.

    Args:
        embedder: Makes vectors of texts.
        search: Finds vectors.
        images: Gets the images that requests name.
    """

    def __init__(self, embedder: Embedder, search: Search, images: QueryImages) -> None:
        self._embedder = embedder
        self._search = search
        self._images = images

    async def search_by_image(self, request: pb.SearchByImageRequest) -> pb.SearchByImageResponse:
        vector = await self._images.vector(wire.search_source(request))
        hits = await self._search.knn(wire.knn_request(request, vector))
        return pb.SearchByImageResponse(results=wire.results(hits))

    async def search_by_text(self, request: pb.SearchByTextRequest) -> pb.SearchByTextResponse:
        vector, truncated = await self._embedder.embed_text(request.text, "text")
        hits = await self._search.knn(wire.knn_request(request, vector))
        return pb.SearchByTextResponse(results=wire.results(hits), truncated=truncated)

    async def search_images(
        self, request: queries_pb.SearchImagesRequest
    ) -> queries_pb.SearchImagesResponse:
        raise NotImplementedError
