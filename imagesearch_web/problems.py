"""What goes wrong, as RFC 9457 problems."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status
from starlette.responses import JSONResponse

from imagesearch_client.errors import from_status

MEDIA_TYPE = "application/problem+json"

HTTP_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}
"""As google/rpc/code.proto maps them."""

# What a transport says of itself names addresses; this is said in its place.
_TRANSPORT = {
    grpc.StatusCode.UNAVAILABLE: "the gateway does not answer",
    grpc.StatusCode.DEADLINE_EXCEEDED: "the gateway did not answer in time",
    grpc.StatusCode.UNIMPLEMENTED: "the gateway does not have this call",
    grpc.StatusCode.UNAUTHENTICATED: "the gateway asks for a valid key",
    grpc.StatusCode.PERMISSION_DENIED: "the gateway does not allow this",
}

Moves = Sequence[tuple[str, str]]
"""Beginnings of field paths in the gateway's request, and what they are in the caller's."""


class ProblemError(Exception):
    """Ends the request with a problem.

    Args:
        status: HTTP status.
        reason: Stable and UPPER_SNAKE_CASE, to switch on.
        detail: What is wrong, in words.
        violations: (field, what is wrong with it).
        retry_after_s: When to come back.
        headers: Of the answer.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        violations: Sequence[tuple[str, str]] = (),
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.violations = violations
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The problem's members."""
        members: dict[str, Any] = {
            "type": "about:blank",
            "title": _phrase(self.status),
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
        }
        if self.violations:
            members["violations"] = [
                {"field": field, "description": what} for field, what in self.violations
            ]
        if self.retry_after_s is not None:
            members["retry_after_s"] = self.retry_after_s
        return members

    def response(self) -> JSONResponse:
        """The answer."""
        headers = dict(self.headers)
        if self.retry_after_s is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after_s)))
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers, MEDIA_TYPE)


def invalid(field: str, what: str, reason: str = "INVALID_REQUEST") -> ProblemError:
    """The problem that one field of a request is wrong."""
    return ProblemError(400, reason, f"{field}: {what}", violations=[(field, what)])


def of_status(status: status_pb2.Status, moves: Moves = ()) -> ProblemError:
    """Makes a problem of a gRPC status with its details."""
    error = from_status(status)
    code = HTTP_STATUS.get(error.code, 500)
    if code == HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProblemError(code, error.reason or "INTERNAL", "the gateway failed; see its log")
    violations = [(_moved(field, moves), what) for field, what in error.violations]
    detail = "; ".join(f"{field}: {what}" for field, what in violations) or error.message
    return ProblemError(
        code,
        error.reason or error.code.name,
        detail,
        violations=violations,
        retry_after_s=None if error.retry_after is None else error.retry_after.total_seconds(),
    )


def of_rpc_error(error: grpc.aio.AioRpcError, moves: Moves = ()) -> ProblemError:
    """Makes a problem of a failed call to the gateway."""
    call: Any = error
    status = rpc_status.from_call(call)
    if status is not None:
        return of_status(status, moves)
    code = error.code()
    detail = _TRANSPORT.get(code, "the call to the gateway failed")
    return ProblemError(
        HTTP_STATUS.get(code, 500),
        code.name,
        detail,
        retry_after_s=1.0 if code is grpc.StatusCode.UNAVAILABLE else None,
    )


def _moved(field: str, moves: Moves) -> str:
    for beginning, ours in moves:
        if field.startswith(beginning):
            return ours + field.removeprefix(beginning)
    return field


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request"
