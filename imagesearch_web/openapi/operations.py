"""The operations of the API, in the order in which they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf.descriptor import Descriptor
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

Parameter = Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """What one method of one path does.

    Attributes:
        method: Lower case.
        path: Below `/api/v1`.
        name: Unique, in camel case.
        tag: What it belongs to.
        summary: What it does, in a line.
        rpc: The RPC behind it, whose comment describes it and whose messages it takes and gives.
        takes: What the body is.
        gives: What the answer is.
        parameters: As OpenAPI has them.
        has_source: The body names the image under `source`.
        more: Said after the RPC's comment.
        statuses: Of answers that are no problems.
        answer: The message that is answered, where it is not the RPC's own.
        schema: Of the answer, where it is no message.
    """

    method: Literal["get", "post", "delete"]
    path: str
    name: str
    tag: str
    summary: str
    rpc: str = ""
    takes: Literal["nothing", "json", "image"] = "nothing"
    gives: Literal["message", "image", "events", "json"] = "message"
    parameters: Sequence[Parameter] = ()
    has_source: bool = False
    more: str = ""
    statuses: Sequence[str] = ("200",)
    answer: Descriptor | None = None
    schema: Mapping[str, Any] | None = None


def _query(name: str, description: str, kind: str = "string", **more: Any) -> Parameter:
    schema = {"type": kind, **more}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _in_path(name: str, description: str) -> Parameter:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


_INDEX = _query("index", "Name of the index. Absent: the server's default.")
_ID = _in_path("image_id", "SHA-256 of the image's bytes, in hex.")
_WIDTH = _query(
    "w", "Longest side in pixels. Nothing is enlarged.", "integer", enum=[128, 256, 512, 1024]
)
_PAGE = (
    _query("page_size", "Most indexes in the answer, 1 to 1,000. Absent: 100.", "integer"),
    _query("page_token", "`next_page_token` of the page before."),
)

_KEPT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "SHA-256 of the bytes, in hex."},
        "width": {"type": "integer", "description": "In pixels, after EXIF orientation."},
        "height": {"type": "integer", "description": "In pixels, after EXIF orientation."},
        "format": {"type": "string", "description": 'Encoding, e.g. "JPEG".'},
        "stored": {"type": "boolean", "description": "The index has these very bytes."},
    },
}

_STORE = (
    _INDEX,
    _query("relative_path", "Path below the folder that is being indexed."),
    _query("image_name", "File name. Absent: the last part of `relative_path`."),
    _query("url", "Address it was fetched from."),
    _query("page_url", "Address of the page it was on."),
    _query("caption", "Description in any language."),
    _query("tags", "A label; may be given several times.", "array", items={"type": "string"}),
    _query("refresh", "When searches see it.", enum=["none", "wait_for", "immediate"]),
)

_SCAN = (
    _INDEX,
    _query("scan_id", "Go on with this scan. Browsers say so by `Last-Event-ID`."),
    _query("keep", "Which image of a group is suggested.", enum=["largest", "oldest"]),
    _query("min_confidence", "Only pairs at least this sure, 0 to 1.", "number"),
    _query("max_neighbors", "Most neighbours each image is compared with, 1 to 100.", "integer"),
    _query("filter", "Only images that match: a Filter as JSON."),
)

OPERATIONS: Sequence[Operation] = (
    Operation(
        "post",
        "/query-images",
        "keepQueryImage",
        "Search",
        "Sends an image to search by",
        takes="image",
        gives="json",
        parameters=(_INDEX,),
        more="It is kept for a while, so that links to searches work. Its id is its hash.",
        statuses=("201",),
        schema=_KEPT,
    ),
    Operation(
        "get",
        "/query-images/{image_id}/thumbnail",
        "queryImageThumbnail",
        "Search",
        "Shows an image that was sent",
        gives="image",
        parameters=(_ID, _WIDTH),
        more="Upright, as JPEG, without metadata.",
    ),
    Operation(
        "post",
        "/search",
        "search",
        "Search",
        "Searches",
        rpc="SearchImages",
        takes="json",
        more="A term may name an image that was sent, as `query_image_id`.",
    ),
    Operation(
        "post",
        "/versions",
        "findVersions",
        "Versions",
        "Finds other forms of an image",
        rpc="FindVersions",
        takes="json",
        has_source=True,
    ),
    Operation(
        "post",
        "/source",
        "findSource",
        "Versions",
        "Finds where an image was seen",
        rpc="FindSource",
        takes="json",
        has_source=True,
    ),
    Operation(
        "get",
        "/duplicates",
        "findDuplicates",
        "Versions",
        "Finds all groups of duplicates",
        rpc="FindDuplicates",
        gives="events",
        parameters=_SCAN,
        more="Server-Sent Events: `progress` (ScanProgress), `group` (DuplicateGroup), then "
        "`summary` (DuplicateSummary), or `problem` (Problem). Leaving breaks the scan off.",
    ),
    Operation(
        "post",
        "/classify",
        "classify",
        "Classification",
        "Says what is in an image, among labels",
        rpc="Classify",
        takes="json",
        has_source=True,
    ),
    Operation(
        "post",
        "/identify",
        "identify",
        "Classification",
        "Says what is in an image, with evidence",
        rpc="Identify",
        takes="json",
        has_source=True,
    ),
    Operation(
        "get",
        "/label-sets",
        "labelSets",
        "Classification",
        "Lists the label sets",
        rpc="ListLabelSets",
    ),
    Operation(
        "get",
        "/label-sets/{name}",
        "labelSet",
        "Classification",
        "Reads a label set",
        rpc="GetLabelSet",
        parameters=(_in_path("name", "Name of the label set."),),
    ),
    Operation(
        "get",
        "/images/{image_id}",
        "image",
        "Images",
        "Reads what is known of an image",
        rpc="GetImage",
        parameters=(_ID, _INDEX),
    ),
    Operation(
        "get",
        "/images/{image_id}/thumbnail",
        "imageThumbnail",
        "Images",
        "Shows an image",
        gives="image",
        parameters=(_ID, _INDEX, _WIDTH),
        more="Upright, as JPEG, without metadata.",
    ),
    Operation(
        "get",
        "/images/{image_id}/original",
        "imageOriginal",
        "Images",
        "Downloads an image",
        gives="image",
        parameters=(_ID, _INDEX),
        more="The very bytes that were stored, as an attachment.",
    ),
    Operation(
        "post",
        "/images",
        "storeImage",
        "Images",
        "Stores an image",
        rpc="IndexImage",
        takes="image",
        parameters=_STORE,
        more="201 if it was not known, else 200.",
        statuses=("200", "201"),
        answer=pb.IndexedImage.DESCRIPTOR,
    ),
    Operation(
        "delete",
        "/images",
        "deleteImages",
        "Images",
        "Deletes images",
        rpc="DeleteImages",
        takes="json",
    ),
    Operation(
        "get",
        "/indexes",
        "indexes",
        "System",
        "Lists the indexes",
        rpc="ListIndexes",
        parameters=_PAGE,
    ),
    Operation(
        "get",
        "/status",
        "status",
        "System",
        "Says how the system is",
        rpc="GetStatus",
        parameters=(_INDEX,),
    ),
)
