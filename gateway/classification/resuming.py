"""Where a ClassifyBatch stream has got to, as a token that its client keeps."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

from imagesearch.gateway.v1 import classification_pb2 as pb

from gateway.classification.labels import Labels
from image_kit.naming import check_image_id
from service_kit.errors import Violations

_FIELD = "resume_token"


@dataclass(frozen=True)
class Place:
    """How far a stream has got.

    Attributes:
        page_token: Of search_service: the page.
        after: Id of the last image that is done; "": none is.
        total: Images to classify, as counted at the beginning; -1: not counted yet.
    """

    page_token: str = ""
    after: str = ""
    total: int = -1


def request_digest(request: pb.ClassifyBatchRequest, labels: Labels) -> str:
    """The same for requests that differ in nothing but how far they have got."""
    same = pb.ClassifyBatchRequest()
    same.CopyFrom(request)
    same.ClearField("resume_token")
    same.ClearField("labels")  # its maps have no order; `labels` says it all
    content = same.SerializeToString(deterministic=True) + labels.digest
    return hashlib.sha256(content).hexdigest()[:16]


def to_token(place: Place, digest: str) -> str:
    """Writes a token."""
    content = json.dumps([digest, place.page_token, place.after, place.total])
    return base64.urlsafe_b64encode(content.encode()).decode()


def from_token(token: str, digest: str, wrong: Violations) -> Place:
    """Reads a token; notes what is wrong with it."""
    if not token:
        return Place()
    try:
        read = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        theirs, page_token, after, total = read
        place = Place(page_token, after, total)
        valid = isinstance(page_token, str) and isinstance(after, str) and type(total) is int
    except (ValueError, TypeError, binascii.Error, RecursionError):
        valid = False
    if not valid:
        wrong.add(_FIELD, "is none that this service gave")
        return Place()
    if theirs != digest:
        wrong.add(_FIELD, "is of another request; all else must be as it was")
    for image_id in filter(None, (place.page_token, place.after)):
        check_image_id(image_id, _FIELD, wrong)
    return place
