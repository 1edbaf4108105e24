"""Errors of this service that clients may see.

ServiceError
├── IndexNotFoundError       NOT_FOUND
├── DocumentNotFoundError    NOT_FOUND
├── IndexExistsError         ALREADY_EXISTS
├── VectorMismatchError      FAILED_PRECONDITION: another space or length than the index has
├── IndexBlockedError        FAILED_PRECONDITION: the index takes no writes
├── ConflictError            ABORTED: others kept changing the document
└── RetryableError
    ├── OverloadedError      RESOURCE_EXHAUSTED, with RetryInfo
    └── UnavailableError
        └── NotReadyError    UNAVAILABLE: it answers, but its shards are not there yet

What is wrong with a request is an InvalidRequestError of service_kit.
"""

from datetime import timedelta

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from service_kit.errors import RetryableError, ServiceError, UnavailableError


class IndexNotFoundError(ServiceError):
    """There is no index of this name, or it was not made by this service."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "INDEX_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no index {name!r}; ListIndexes lists those there are")


class DocumentNotFoundError(ServiceError):
    """The index has no document of this id."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "DOCUMENT_NOT_FOUND"

    def __init__(self, index: str, image_id: str) -> None:
        super().__init__(f"index {index!r} has no image {image_id}")


class IndexExistsError(ServiceError):
    """The name is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "INDEX_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"Elasticsearch has an index {name!r}, or one behind it, already")


class VectorMismatchError(ServiceError):
    """The vector cannot be compared with those of the index."""

    code = grpc.StatusCode.FAILED_PRECONDITION

    def __init__(self, reason: str, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.reason = reason
        self._violation = (field, what)

    def details(self) -> list[Message]:
        """Adds the field."""
        field, what = self._violation
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=field, description=what)
        return [*super().details(), bad]


class IndexBlockedError(ServiceError):
    """Elasticsearch takes no writes for the index, e.g. because its disk is full."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "INDEX_BLOCKED"

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"Elasticsearch refuses writes to index {name!r}: {why}")


class ConflictError(ServiceError):
    """Others changed the document again and again while this call wanted to."""

    code = grpc.StatusCode.ABORTED
    reason = "CONFLICT"

    def __init__(self, image_id: str) -> None:
        super().__init__(f"image {image_id} is being changed by others; send it again")


class OverloadedError(RetryableError):
    """Elasticsearch has more to do than it takes on."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self) -> None:
        super().__init__("Elasticsearch is overloaded", timedelta(seconds=2))


class NotReadyError(UnavailableError):
    """Elasticsearch answers, but cannot serve this yet."""

    reason = "NOT_READY"

    def __init__(self) -> None:
        super().__init__("Elasticsearch is not ready: no master or no shard", timedelta(seconds=2))
