"""What calls fail with.

ImageSearchError
├── InvalidRequestError      INVALID_ARGUMENT: `violations` says what is wrong, field by field
├── NotFoundError            NOT_FOUND: there is no such index, image or label set
├── FailedPreconditionError  FAILED_PRECONDITION: e.g. the index is of another model
├── PermissionDeniedError    PERMISSION_DENIED, UNAUTHENTICATED
├── OverloadedError          RESOURCE_EXHAUSTED: come back after `retry_after`
├── UnavailableError         UNAVAILABLE: a part of the system is away
├── DeadlineError            DEADLINE_EXCEEDED: there was no answer in time
└── UnimplementedError       UNIMPLEMENTED: the server is older than this client
"""

from datetime import timedelta
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ImageSearchError(Exception):
    """A call, or one item of a stream, failed.

    Attributes:
        code: The gRPC status code.
        message: Why, in words.
        reason: Stable and UPPER_SNAKE_CASE, to switch on; "" where the server did not say, which
            is so where it was not reached.
        violations: (field, what is wrong with it) of a request that is wrong.
        retry_after: When to come back, if the server said.
        request_id: Finds what the services logged of the call; "" where the server did not say.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        violations: tuple[tuple[str, str], ...] = (),
        retry_after: timedelta | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.violations = violations
        self.retry_after = retry_after
        self.request_id = request_id


class InvalidRequestError(ImageSearchError):
    """The request can never work as it is."""


class NotFoundError(ImageSearchError):
    """There is no such index, image or label set."""


class FailedPreconditionError(ImageSearchError):
    """The request is right, and cannot work as things are."""


class PermissionDeniedError(ImageSearchError):
    """The caller may not do this, or a URL may not be fetched."""


class OverloadedError(ImageSearchError):
    """The server has too much to do, or no room."""


class UnavailableError(ImageSearchError):
    """The system, or a part of it, is away; the same call may work later."""


class DeadlineError(ImageSearchError):
    """There was no answer in time; whether the call had an effect is not known."""


class UnimplementedError(ImageSearchError):
    """The server does not have this call."""


_CLASSES: dict[grpc.StatusCode, type[ImageSearchError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.UNAUTHENTICATED: PermissionDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
}


def from_status(status: status_pb2.Status) -> ImageSearchError:
    """Makes an error of a status, such as single images of a stream are refused with."""
    reason = ""
    violations: list[tuple[str, str]] = []
    retry_after: timedelta | None = None
    request_id = ""
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        request = error_details_pb2.RequestInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            violations += [(each.field, each.description) for each in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta()
        elif detail.Unpack(request):
            request_id = request.request_id
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _CLASSES.get(code, ImageSearchError)(
        code,
        status.message or code.name,
        reason=reason,
        violations=tuple(violations),
        retry_after=retry_after,
        request_id=request_id,
    )


def from_rpc_error(error: grpc.aio.AioRpcError) -> ImageSearchError:
    """Makes an error of a failed call."""
    call: Any = error
    status = rpc_status.from_call(call)
    if status is None:
        status = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
    return from_status(status)
