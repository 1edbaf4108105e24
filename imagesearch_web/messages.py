"""The gateway's messages and protobuf's JSON form of them, with the contract's field names."""

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.requests import Request
from starlette.responses import JSONResponse

from image_kit.naming import check_image_id
from imagesearch_web.problems import invalid
from service_kit.errors import Violations

M = TypeVar("M", bound=Message)

_DEPTH = 50
_TIMESTAMP = "google.protobuf.Timestamp"
_EXPECTED = {
    FieldDescriptor.TYPE_BOOL: "is neither true nor false",
    FieldDescriptor.TYPE_STRING: "is no text",
    FieldDescriptor.TYPE_INT32: "is no whole number of 32 bits",
    FieldDescriptor.TYPE_INT64: "is no whole number of 64 bits",
    FieldDescriptor.TYPE_FLOAT: "is no number of 32 bits",
    FieldDescriptor.TYPE_DOUBLE: "is no number",
    FieldDescriptor.TYPE_BYTES: "does not travel in JSON",
}
_WRONG = (ParseError, RecursionError, TypeError, ValueError, AttributeError)


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
    except _WRONG as error:
        kind: Any = message.DESCRIPTOR
        path, what = _located(fields, kind, levels=8)
        raise invalid(path or "body", what) from error


def _located(fields: Mapping[str, Any], message: Descriptor, levels: int) -> tuple[str, str]:
    """Finds which field it is that cannot be read: its path, and what is wrong with it."""
    for name, value in fields.items():
        if _can_be_read({name: value}, message):
            continue
        field = message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)
        if field is None:
            return name, "is not known"
        path = name
        if map_entry(field) is not None:
            return name, "is no object whose values suit it"
        if field.is_repeated:
            if not isinstance(value, list):
                return name, "is no list"
            for n, item in enumerate(value):
                if not _can_be_read({name: [item]}, message):
                    path, value = f"{name}[{n}]", item
                    break
        if field.message_type is None or not isinstance(value, dict) or levels == 0:
            return path, _expected(field)
        below, what = _located(value, field.message_type, levels - 1)
        return f"{path}.{below}" if below else path, what
    return "", "has several fields of which only one may be there"


def _can_be_read(fields: dict[str, Any], message: Descriptor) -> bool:
    try:
        ParseDict(fields, GetMessageClass(message)(), max_recursion_depth=_DEPTH)
    except _WRONG:
        return False
    return True


def _expected(field: FieldDescriptor) -> str:
    """Says that a value does not suit its field."""
    if field.enum_type is not None:
        return f"is none of {', '.join(value.name for value in field.enum_type.values)}"
    if field.message_type is not None and field.message_type.full_name == _TIMESTAMP:
        return "is no time as RFC 3339 has it, e.g. 2026-01-31T12:00:00Z"
    return _EXPECTED.get(field.type, "is no object, or nested too deeply")


def map_entry(field: FieldDescriptor) -> Descriptor | None:
    """Gives the message of a map's entries; None if the field is no map."""
    kind = field.message_type
    return kind if kind is not None and kind.GetOptions().map_entry else None


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
