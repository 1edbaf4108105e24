"""The API described in OpenAPI 3.1."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagesearch
from google.protobuf.descriptor import Descriptor
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from imagesearch_web.openapi.comments import comments
from imagesearch_web.openapi.operations import OPERATIONS, Operation
from imagesearch_web.openapi.schemas import Schema, Schemas

_SERVICE = pb.DESCRIPTOR.services_by_name["ImageSearchService"]
_SOURCE = frozenset({"image", "url", "image_id"})

_ABOUT = """\
Search by picture and by text. Bodies are the gateway's messages in protobuf's JSON form, with the
field names of the contract: fields with their default value are left out, 64-bit integers are
strings, times are RFC 3339. Images travel as themselves, never in JSON: an image to search by is
sent to `/query-images` first, and named by its id from then on.

Errors are RFC 9457 problems; `reason` is stable. What is no GET needs the header
`X-Requested-With: imagesearch`, or `Authorization: Bearer KEY`, which goes on to the gateway.
"""

_PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is wrong, in words."},
        "reason": {"type": "string", "description": "Stable, to switch on."},
        "violations": {
            "type": "array",
            "description": "What is wrong with which field.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
            },
        },
        "retry_after_s": {"type": "number", "description": "Seconds after which to come again."},
    },
}

_SOURCES: Schema = {
    "type": "object",
    "description": "The image: exactly one of these.",
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "query_image_id": {"type": "string", "description": "Id that `/query-images` gave."},
        "image_id": {"type": "string", "description": "Id of an image of the index."},
        "url": {
            "type": "string",
            "description": "Address of an image. Off unless the gateway allows it.",
        },
    },
}


def openapi() -> dict[str, Any]:
    """Makes the document, out of the contracts and the list of operations."""
    said = comments(
        file for root in imagesearch.__path__ for file in sorted(Path(root).rglob("*.proto"))
    )
    schemas = Schemas(said)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        rendered = _operation(operation, schemas, said)
        paths.setdefault(operation.path, {})[operation.method] = rendered
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Image search",
            "version": version("imagesearch"),
            "description": _ABOUT,
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": {
                **dict(sorted(schemas.found.items())),
                "ImageSource": _SOURCES,
                "Problem": _PROBLEM,
            },
            "responses": {
                "Problem": {
                    "description": "It did not work.",
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/Problem"}
                        }
                    },
                }
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, schemas: Schemas, said: Mapping[str, str]) -> dict[str, Any]:
    rpc = _SERVICE.methods_by_name.get(operation.rpc)
    what = said.get(f"{_SERVICE.full_name}.{operation.rpc}", "")
    rendered: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join(part for part in (what, operation.more) if part),
        "parameters": [*map(dict, operation.parameters)],
        "responses": {"default": {"$ref": "#/components/responses/Problem"}},
    }
    if operation.takes == "image":
        anything: Schema = {"schema": {"type": "string", "contentMediaType": "image/*"}}
        rendered["requestBody"] = {"required": True, "content": {"image/*": anything}}
    elif operation.takes == "json" and rpc is not None:
        body = {"application/json": {"schema": _request(operation, rpc.input_type, schemas)}}
        rendered["requestBody"] = {"required": True, "content": body}
    response: dict[str, Any] = {"description": "It worked."}
    if operation.gives == "message" and rpc is not None:
        schema = operation.schema or schemas.of(operation.answer or rpc.output_type)
        response["content"] = {"application/json": {"schema": schema}}
    elif operation.gives == "events" and rpc is not None:
        schemas.of(rpc.output_type)
        response["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    elif operation.gives == "image":
        response["content"] = {"image/*": {"schema": {"type": "string"}}}
        rendered["responses"]["304"] = {"description": "The client has it already."}
    elif operation.schema is not None:
        response["content"] = {"application/json": {"schema": operation.schema}}
    for status in operation.statuses:
        rendered["responses"][status] = response
    return rendered


def _request(operation: Operation, message: Descriptor, schemas: Schemas) -> Schema:
    """Makes the schema of a body: the message's, but for how it names images."""
    if operation.has_source:
        schema = schemas.inline(message, without=_SOURCE)
        schema["properties"]["source"] = {"$ref": "#/components/schemas/ImageSource"}
        schema["required"] = ["source"]
        return schema
    schema = schemas.inline(message)
    if "terms" in schema["properties"]:
        term = queries_pb.QueryTerm.DESCRIPTOR
        schemas.found[term.name]["properties"] |= {
            "query_image_id": _SOURCES["properties"]["query_image_id"]
        }
    return schema
