"""Errors of this service that clients may see.

    ServiceError
    ├── ContentNotFoundError   NOT_FOUND: the image store has no such image
    ├── ScanNotFoundError      NOT_FOUND: no scan of this name can be gone on with
    ├── FetchForbiddenError    PERMISSION_DENIED: the URL may not be fetched
    ├── FetchError             FAILED_PRECONDITION: the URL gives no image
    ├── StoreFullError         RESOURCE_EXHAUSTED
    ├── LabelSetNotFoundError  NOT_FOUND: there is no label set of that name
    ├── NoTextModelError       FAILED_PRECONDITION: no text can be compared with the image's vector
    ├── ExplanationMissingError  FAILED_PRECONDITION: scores of the index are no sums
    └── RemoteError            what another service answered, its fields renamed to ours

What is wrong with a request is an InvalidRequestError, or an ImageError of image_kit.
"""

from collections.abc import Sequence

import grpc
from google.rpc import error_details_pb2, status_pb2

from service_kit.errors import ServiceError


class ContentNotFoundError(ServiceError):
    """The image store does not have the image."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "IMAGE_NOT_FOUND"

    def __init__(self, index: str, image_id: str) -> None:
        super().__init__(f"index {index!r} has no image {image_id}")


class ScanNotFoundError(ServiceError):
    """There is no such scan, or not any more."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "SCAN_NOT_FOUND"

    def __init__(self, index: str, scan_id: str) -> None:
        super().__init__(f"index {index!r} has no scan {scan_id} to go on with")


class FetchForbiddenError(ServiceError):
    """The URL may not be fetched."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "URL_FORBIDDEN"


class FetchError(ServiceError):
    """The URL was fetched, and gives no image."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "URL_NOT_FETCHED"


class StoreFullError(ServiceError):
    """The image store has no room."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "STORE_FULL"

    def __init__(self) -> None:
        super().__init__("the image store is full")


class LabelSetNotFoundError(ServiceError):
    """There is no label set of that name."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "LABEL_SET_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no label set {name!r}; ListLabelSets names those there are")


class NoTextModelError(ServiceError):
    """The embedder has no text model whose vectors may be compared with the image's."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "SPACE_MISMATCH"

    def __init__(self, space: str) -> None:
        super().__init__(f"the embedder has no text model of the space {space!r}")


class ExplanationMissingError(ServiceError):
    """The scores of this index are no sums over the terms."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "NO_EXPLANATION"

    def __init__(self, index: str) -> None:
        super().__init__(f"scores of index {index!r} are no cosines, and cannot be explained")


Moves = Sequence[tuple[str, str]]
"""Beginnings of field paths in another service's request, and what they are in ours."""


def relocated(status: status_pb2.Status, moves: Moves) -> status_pb2.Status:
    """Renames the fields that another service complains of to those of our caller's request."""
    moved = status_pb2.Status(code=status.code, message=_moved(status.message, moves))
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            moved.message = status.message
            for violation in bad.field_violations:
                field = _moved(violation.field, moves)
                moved.message = moved.message.replace(f"{violation.field}:", f"{field}:")
                violation.field = field
            moved.details.add().Pack(bad)
        else:
            moved.details.add().CopyFrom(detail)
    return moved


def _moved(field: str, moves: Moves) -> str:
    for beginning, ours in moves:
        if field.startswith(beginning):
            return ours + field.removeprefix(beginning)
    return field
