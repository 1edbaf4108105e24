"""Errors of this service that clients may see.

ServiceError
├── IndexNotFoundError       NOT_FOUND
├── DocumentNotFoundError    NOT_FOUND
├── RevisionNotFoundError    NOT_FOUND
├── OperationNotFoundError   NOT_FOUND
├── IndexExistsError         ALREADY_EXISTS
├── VectorMismatchError      FAILED_PRECONDITION: another space or length than the index has
├── IndexBlockedError        FAILED_PRECONDITION: the index takes no writes
├── RevisionStateError       FAILED_PRECONDITION: the revision is live, or is not, or not fit
├── OperationRunningError    FAILED_PRECONDITION: the index has one of this kind already
├── OperationCancelledError  CANCELLED
├── SnapshotError            FAILED_PRECONDITION: it cannot be made or restored
├── LicenseError             FAILED_PRECONDITION: Elasticsearch's licence does not cover it
├── ScriptsMissingError      FAILED_PRECONDITION: an exact search needs scripts
├── BackgroundMissingError   FAILED_PRECONDITION: scores of this index have no background
├── PageExpiredError         FAILED_PRECONDITION: begin with the first page again
├── RequestTooLargeError     RESOURCE_EXHAUSTED: more than Elasticsearch ever takes at once
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


class LicenseError(ServiceError):
    """Elasticsearch has no licence for what the index needs, e.g. for its vector type."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "NOT_LICENSED"

    def __init__(self, why: str) -> None:
        super().__init__(f"Elasticsearch refuses: {why}")


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


class RevisionNotFoundError(ServiceError):
    """The index has no revision of this number."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "REVISION_NOT_FOUND"

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"index {name!r} has no revision {number}; ListRevisions lists them")


class OperationNotFoundError(ServiceError):
    """There is no operation of this name."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "OPERATION_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no operation {name!r}; ListOperations lists those there are")


class RevisionStateError(ServiceError):
    """The revision is not in the state that the call needs."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "REVISION_STATE"


class OperationRunningError(ServiceError):
    """The index has an operation of this kind already."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "OPERATION_RUNNING"

    def __init__(self, name: str) -> None:
        super().__init__(f"operation {name!r} does this already; wait for it or cancel it")


class OperationCancelledError(ServiceError):
    """CancelOperation was called."""

    code = grpc.StatusCode.CANCELLED
    reason = "CANCELLED"

    def __init__(self) -> None:
        super().__init__("the operation was cancelled")


class SnapshotError(ServiceError):
    """The snapshot cannot be made or restored: the message says why."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "SNAPSHOT"


class BackgroundMissingError(ServiceError):
    """The scores of this index have no background that means anything."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "NO_BACKGROUND"

    def __init__(self, index: str, similarity: str) -> None:
        super().__init__(
            f"index {index!r} is of similarity {similarity}; backgrounds are for cosine and "
            "dot_product"
        )


class ScriptsMissingError(ServiceError):
    """This Elasticsearch has no Painless."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "NO_SCRIPTS"

    def __init__(self) -> None:
        super().__init__(
            "exact search needs an index of vector type FLAT, or an Elasticsearch with Painless "
            "on every node"
        )


class PageExpiredError(ServiceError):
    """The point in time that the pages share is gone."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "PAGE_EXPIRED"

    def __init__(self) -> None:
        super().__init__("the page token is too old; begin with the first page again")


class RequestTooLargeError(ServiceError):
    """Elasticsearch will not take this much in one piece, now or later."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "TOO_LARGE"

    def __init__(self, why: str) -> None:
        super().__init__(f"it is more than Elasticsearch takes at once: {why}")
