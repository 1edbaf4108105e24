"""The images and vectors that requests name: by bytes, by URL, or by the id of a stored image."""

from dataclasses import dataclass

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import classification_pb2 as classification_pb
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.gateway.v1 import versions_pb2 as versions_pb

from gateway.clients.embedder import Embedder
from gateway.clients.search import Search
from gateway.errors import ContentNotFoundError, FetchForbiddenError
from gateway.fetch import Fetcher
from gateway.pictures import Pictures
from gateway.regions import pixels_of
from gateway.store import ORIGINAL, ImageStore
from image_kit.decoding import ImageError, check_length
from image_kit.naming import check_image_id, check_index_name
from service_kit.errors import InvalidRequestError, Violations
from service_kit.workers import Workers

NamesImage = (
    pb.SearchByImageRequest
    | queries_pb.QueryTerm
    | versions_pb.FindVersionsRequest
    | versions_pb.FindSourceRequest
    | classification_pb.ClassifyRequest
    | classification_pb.IdentifyRequest
)
"""Messages with a `oneof source` of image, url and image_id, and perhaps more."""


@dataclass(frozen=True)
class ImageSource:
    """An image that a request names.

    Attributes:
        kind: "image", "url" or "image_id".
        data: The encoded image; empty unless it is given by bytes.
        name: The URL or the id; "" for an image given by bytes.
        index: Name of the index that an id is of.
        field: Where in the request it is.
        region: Only this part of it; None: the whole.
    """

    kind: str
    data: bytes
    name: str
    index: str
    field: str
    region: queries_pb.Region | None = None


def image_source(
    message: NamesImage,
    index: str,
    wrong: Violations,
    *,
    prefix: str = "",
    region: queries_pb.Region | None = None,
) -> ImageSource:
    """Reads which image is meant; notes what is wrong.

    Args:
        message: Names it.
        index: As the request has it.
        wrong: Gets a violation for each thing wrong.
        prefix: Path of the message in the request, e.g. "terms[2].".
        region: Only this part of it.
    """
    kind = message.WhichOneof("source") or ""
    if not kind:
        wrong.add(f"{prefix}source", "is not set; give image, url or image_id")
    name = check_index_name(index, "index", wrong)
    if kind == "image_id":
        check_image_id(message.image_id, f"{prefix}image_id", wrong)
    data = message.image if kind == "image" else b""
    given = {"url": message.url, "image_id": message.image_id}.get(kind, "")
    return ImageSource(kind, data, given, name, f"{prefix}{kind}", region)


class QueryImages:
    """Gets what requests name.

    Args:
        embedder: Makes vectors.
        search: Has those of stored images.
        store: Has their files.
        fetcher: Fetches URLs; None where that is not allowed.
        workers: Threads that cut regions out.
        pictures: Decodes images.
    """

    def __init__(
        self,
        embedder: Embedder,
        search: Search,
        store: ImageStore,
        fetcher: Fetcher | None,
        workers: Workers,
        pictures: Pictures,
    ) -> None:
        self._embedder = embedder
        self._search = search
        self._store = store
        self._fetcher = fetcher
        self._workers = workers
        self._pictures = pictures

    async def vector(self, source: ImageSource) -> types.Vector:
        """The vector of an image, or of its region. That of a stored image is read, not computed.

        Raises:
            ServiceError: There is no such image, or it cannot be had or embedded.
        """
        if source.kind == "image_id" and source.region is None:
            found = await self._search.document(
                source.index, source.name, with_vector=True, field=source.field
            )
            return found.vector
        data = await self.content(source)
        if source.region is not None:
            data = await self._workers.run(self._cut, data, source)
        return await self._embedder.embed_image(data, source.field)

    async def content(self, source: ImageSource) -> bytes:
        """The encoded image, whole; within the limit of bytes, and not looked at any further.

        Raises:
            ServiceError: There is no such image, or it cannot be had.
        """
        data = source.data
        if source.kind == "image_id":
            stored = await self._store.read(source.index, ORIGINAL, source.name)
            if stored is None:
                raise ContentNotFoundError(source.index, source.name)
            return stored
        if source.kind == "url":
            if self._fetcher is None:
                what = "fetching URLs is not allowed on this server"
                raise FetchForbiddenError(f"{source.field}: {what}")
            data = await self._fetcher.fetch(source.name, source.field)
        try:
            check_length(data, self._pictures.limits)
        except ImageError as error:
            raise error.at(source.field) from error
        return data

    def _cut(self, data: bytes, source: ImageSource) -> bytes:
        """Cuts the region out of an encoded image, without loss.

        Raises:
            ImageError: It cannot be decoded.
            InvalidRequestError: The region is not within it.
        """
        assert source.region is not None
        field = source.field.removesuffix(source.kind) + "region"
        try:
            return self._pictures.cut(data, source.region, field)
        except ImageError as error:
            raise error.at(source.field) from error


def check_region(region: queries_pb.Region, field: str, wrong: Violations) -> None:
    """Notes what can be wrong with a region whatever the image."""
    try:
        pixels_of(region, 1 << 15, 1 << 15, field)
    except InvalidRequestError as error:
        for path, what in error.violations:
            wrong.add(path, what)
