"""Which image a request is about: one of the index, of an address, or one that was sent before."""

from collections.abc import Mapping
from typing import Any, Protocol

from image_kit.naming import check_image_id
from imagesearch_web.problems import Moves, ProblemError, invalid
from imagesearch_web.query_images import QueryImages
from service_kit.errors import Violations

_KINDS = ("query_image_id", "image_id", "url")


class HasSource(Protocol):
    """A message of the gateway that names an image."""

    image: bytes
    image_id: str
    url: str


async def put_source(fields: Mapping[str, Any], message: HasSource, kept: QueryImages) -> Moves:
    """Reads `fields["source"]` into a message; answers what the message's fields are to our caller.

    Raises:
        ProblemError: It does not name exactly one image, or that is not kept (any more).
    """
    source = fields.get("source")
    if not isinstance(source, dict) or len(source) != 1 or next(iter(source)) not in _KINDS:
        raise invalid("source", f"must have exactly one of {', '.join(_KINDS)}")
    [(kind, value)] = source.items()
    if not isinstance(value, str) or not value:
        raise invalid(f"source.{kind}", "is no text, or an empty one")
    if kind == "query_image_id":
        message.image = await query_image(value, "source.query_image_id", kept)
    else:
        setattr(message, kind, value)
    return [
        ("image_id", "source.image_id"),
        ("image", "source.query_image_id"),
        ("url", "source.url"),
    ]


def without_source(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The other fields.

    Raises:
        ProblemError: An image is named outside of `source`.
    """
    rest = {name: value for name, value in fields.items() if name != "source"}
    for name in ("image", "image_id", "imageId", "url"):
        if name in rest:
            raise invalid(name, "belongs into source")
    return rest


async def query_image(image_id: object, field: str, kept: QueryImages) -> bytes:
    """Reads an image that was sent before.

    Raises:
        ProblemError: It is not kept (any more).
    """
    wrong = Violations()
    check_image_id(image_id if isinstance(image_id, str) else "", field, wrong)
    wrong.raise_if_any()
    data = await kept.get(str(image_id))
    if data is None:
        what = f"{field}: the image is not kept any more; send it again"
        raise ProblemError(
            404, "QUERY_IMAGE_NOT_FOUND", what, violations=[(field, "is not kept any more")]
        )
    return data
