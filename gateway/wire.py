"""Messages to domain values and back, and everything that can be wrong with a request."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.search.v1 import index_service_pb2 as index_pb

from gateway.clients.calls import RefusedError
from gateway.indexing import Upload
from image_kit.decoding import ImageError, ImageLimits, check_length
from image_kit.naming import check_image_id, check_index_name
from service_kit.errors import InvalidRequestError, Violations

_SAID = ("image_name", "relative_path", "caption")
_PLACE = ("relative_path", "url", "page_url")


def check_image(data: bytes, field: str, limits: ImageLimits) -> None:
    """Refuses an encoded image that need not even be sent on.

    Raises:
        ImageError: It has no bytes, or too many.
    """
    try:
        check_length(data, limits)
    except ImageError as error:
        raise error.at(field) from error


def upload(image: pb.ImageUpload, limits: ImageLimits) -> Upload:
    """Reads an image to store.

    Raises:
        ImageError: It has no bytes, or too many.
    """
    check_image(image.content, "image.content", limits)
    document = types.Document(
        tags=image.tags,
        attributes=image.attributes,
        **{name: getattr(image, name) for name in _SAID},
    )
    if not document.image_name:
        document.image_name = _last_part(image.relative_path) or _last_part(_path(image.url))
    if image.HasField("captured_at"):
        document.captured_at.CopyFrom(image.captured_at)
    place = {name: value for name in _PLACE if (value := getattr(image, name))}
    if place:
        document.sources.add(**place)
    return Upload(image.content, document)


def _last_part(path: str) -> str:
    return PurePosixPath(path).name


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def image_key(index: str, image_id: str) -> tuple[str, str]:
    """Reads which image of which index is meant.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    name = check_index_name(index, "index", wrong)
    check_image_id(image_id, "image_id", wrong)
    wrong.raise_if_any()
    return name, image_id


def variant(value: "pb.ImageVariant.ValueType") -> "pb.ImageVariant.ValueType":
    """Reads which form of an image is wanted.

    Raises:
        InvalidRequestError: There is no such form.
    """
    if value == pb.IMAGE_VARIANT_UNSPECIFIED:
        return pb.IMAGE_VARIANT_THUMBNAIL
    if value not in pb.ImageVariant.values():
        raise InvalidRequestError([("variant", f"has no value {value}")])
    return value


def status_response(
    away: Mapping[str, Exception | None],
    models: Sequence[embedder_pb.Model],
    index: index_pb.Index | None,
) -> pb.GetStatusResponse:
    """Renders the state of the system.

    Args:
        away: The other services, and why each cannot do its work; None if it can.
        models: The embedder's, the image model first; empty while it is away.
        index: None where there is none, or search_service is away.
    """
    response = pb.GetStatusResponse()
    for name, why in away.items():
        response.components.add(
            name=name,
            serving=why is None,
            detail="" if why is None else str(why),
            refuses_gateway=isinstance(why, RefusedError),
        )
    if models:
        where = f"{models[0].device}, {models[0].dtype}"
        response.components[0].detail = response.components[0].detail or where
        response.image_model = models[0].name
        response.text_model = models[-1].name
        response.space = models[0].space
    if index is not None:
        response.index.CopyFrom(index_status(index))
    return response


def index_status(index: index_pb.Index) -> pb.IndexStatus:
    """Renders what an index holds."""
    health = index_pb.IndexHealth.Name(index.health).removeprefix("INDEX_HEALTH_").lower()
    options = index.options
    return pb.IndexStatus(
        name=index.name,
        document_count=index.document_count,
        size_bytes=index.size_bytes,
        health="" if health == "unspecified" else health,
        space=index.space,
        created_at=index.created_at,
        revision=index.revision,
        dimensions=options.dimensions,
        vector_type=index_pb.VectorType.Name(options.vector_type)
        .removeprefix("VECTOR_TYPE_")
        .lower(),
        shards=options.shards,
        replicas=options.replicas if options.HasField("replicas") else None,
        segments=index.segments,
        search_memory_bytes=index.search_memory_bytes,
    )
