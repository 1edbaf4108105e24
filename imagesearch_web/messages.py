"""The gateway's messages and protobuf's JSON form of them, with the contract's field names."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse

from image_kit.naming import check_image_id
from imagesearch_web.problems import invalid
from service_kit.errors import Violations

M = TypeVar("M", bound=Message)

_DEPTH = 50
_PATH = re.compile(r' at "\w+\.?([^"]*)"')


def as_dict(message: Message) -> dict[str, Any]:
    """Renders a message; fields that have their default value are left out."""
    fields: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return fields


def answered(message: Message, status: int = 200) -> JSONResponse:
    """Makes the answer that a message is."""
    return JSONResponse(as_dict(message), status)


def parsed(fields: Mapping[str, Any], message: M) -> M:
    """Reads fields into a message.

    Raises:
        ProblemError: A field does not exist, or a value does not suit it.
    """
    try:
        return ParseDict(dict(fields), message, max_recursion_depth=_DEPTH)
    except ParseError as error:
        found = _PATH.search(str(error))
        what = str(error).split("\n")[0]
        if found:
            what = what.replace(found[0], "").rstrip(".: ")
        raise invalid((found and found[1]) or "body", what) from error
    except (RecursionError, TypeError, ValueError, AttributeError) as error:
        raise invalid("body", "is not as the API describes it") from error


def index_of(request: Request, body: Mapping[str, Any] | None, default: str) -> str:
    """Reads which index a request is about: of its query, its body, or the default one.

    Raises:
        ProblemError: Query and body name different ones.
    """
    asked = request.query_params.get("index", "")
    said = (body or {}).get("index", "")
    if not isinstance(said, str):
        raise invalid("index", "is no text")
    if asked and said and asked != said:
        raise invalid("index", "is named differently in the query and in the body")
    return asked or said or default


def checked_id(request: Request, field: str = "image_id") -> str:
    """Reads the id of the request's path.

    Raises:
        ProblemError: It cannot be one.
    """
    wrong = Violations()
    image_id: str = request.path_params["image_id"]
    check_image_id(image_id, field, wrong)
    wrong.raise_if_any()
    return image_id
