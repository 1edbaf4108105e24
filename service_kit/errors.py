"""Errors that clients may see, and their form on the wire.

The family:

    ServiceError
    ├── InvalidRequestError   INVALID_ARGUMENT, with every field violation
    ├── DeadlineError         DEADLINE_EXCEEDED
    ├── UnavailableError      UNAVAILABLE, with RetryInfo
    │   ├── StoppingError
    │   └── IdleError         a stream on which nothing came
    ├── RemoteError           what another service answered, passed on
    └── … each service's own

Statuses follow AIP-193: every one carries an ErrorInfo with a stable reason.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "imagesearch"

_CODES = {code.value[0]: code for code in grpc.StatusCode}

# What another service says of the request or of its load is the caller's to know.
_PASSED_ON = {
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
}
_REFUSALS = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}


class ServiceError(Exception):
    """Base of every error a client may see. Anything else is a bug and becomes INTERNAL.

    Attributes:
        code: The gRPC status code.
        reason: UPPER_SNAKE_CASE and stable: clients switch on it.
        lasting: What failed was tried again here, or will not mend at once. The caller's transport
            is told not to send the call again: it is the caller who decides. Else each level
            would make three calls of one.
    """

    code: grpc.StatusCode
    reason: str
    lasting = False

    def details(self) -> list[Message]:
        """Messages of google.rpc.error_details that help the caller."""
        return [error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN)]

    def to_status(self) -> status_pb2.Status:
        """Renders the error for a trailer, or for one item of a batch."""
        status = status_pb2.Status(code=self.code.value[0], message=str(self))
        for detail in self.details():
            status.details.add().Pack(detail)
        return status


class InvalidRequestError(ServiceError):
    """The request can never work as it is."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[tuple[str, str]], reason: str | None = None) -> None:
        super().__init__("; ".join(f"{field}: {what}" for field, what in violations))
        self.violations = violations
        if reason is not None:
            self.reason = reason

    def details(self) -> list[Message]:
        """Adds a field violation for each thing wrong."""
        bad = error_details_pb2.BadRequest()
        for field, what in self.violations:
            bad.field_violations.add(field=field, description=what)
        return [*super().details(), bad]


class Violations:
    """Gathers what is wrong with a request, so that the caller hears it all at once."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def add(self, field: str, what: str) -> None:
        """Notes that `field` (a path such as "inputs[3].text") is wrong, and how."""
        self._found.append((field, what))

    def add_all(self, others: "Violations") -> None:
        """Notes what others have noted, but nothing twice."""
        self._found += [each for each in others._found if each not in self._found]

    def raise_if_any(self) -> None:
        """Ends the check.

        Raises:
            InvalidRequestError: with one field violation for each thing noted.
        """
        if self._found:
            raise InvalidRequestError(self._found)


class DeadlineError(ServiceError):
    """The time the caller gave is over."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class RetryableError(ServiceError):
    """Base of errors that pass; the caller should come back after `retry_after`."""

    def __init__(self, message: str, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def details(self) -> list[Message]:
        """Adds when to come back."""
        delay = Duration()
        delay.FromTimedelta(self.retry_after)
        return [*super().details(), error_details_pb2.RetryInfo(retry_delay=delay)]


class UnavailableError(RetryableError):
    """Something this service needs does not answer now."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"
    lasting = True


class StoppingError(UnavailableError):
    """The server is stopping; another one, or this one later, will do the work."""

    reason = "STOPPING"
    lasting = False  # the next address may well do it

    def __init__(self) -> None:
        super().__init__("the server is stopping", timedelta(seconds=1))


class IdleError(UnavailableError):
    """Nothing came on a stream for so long that it was ended. Another may be opened at once."""

    reason = "IDLE"
    lasting = False

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing came on the stream for {seconds:g} s", timedelta())


class RemoteError(ServiceError):
    """What another service answered, passed on with its details."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.code = _CODES[status.code]
        self.reason = "REMOTE"
        self.lasting = self.code is grpc.StatusCode.UNAVAILABLE
        self._status = status

    def to_status(self) -> status_pb2.Status:
        """Gives the status as it came."""
        return self._status


def reason_of(error: BaseException) -> str:
    """The stable reason of an error, for counting: of one passed on, as its sender has it."""
    if isinstance(error, RemoteError):
        info = error_details_pb2.ErrorInfo()
        for detail in error.to_status().details:
            if detail.Unpack(info):
                return info.reason
    if isinstance(error, ServiceError):
        return error.reason
    return "CANCELLED" if isinstance(error, asyncio.CancelledError) else "INTERNAL"


class RemoteBugError(Exception):
    """Another service failed in a way that says nothing to our caller: INTERNAL here too."""


class RemoteRefusalError(RemoteBugError):
    """Another service does not let us in, or not do this. That is about our key, not the caller's.

    Attributes:
        code: UNAUTHENTICATED or PERMISSION_DENIED.
        said: What it said, for operators.
    """

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(f"{_CODES[status.code]}: {status.message}")
        self.code = _CODES[status.code]
        self.said = status.message


def from_status(status: status_pb2.Status) -> Exception:
    """Makes an exception of another service's status: RemoteError, or a RemoteBugError."""
    if _CODES.get(status.code) in _PASSED_ON:
        return RemoteError(status)
    if _CODES.get(status.code) in _REFUSALS:
        return RemoteRefusalError(status)
    return RemoteBugError(f"{_CODES.get(status.code)}: {status.message}")


# What gRPC calls it, with INTERNAL, when a stream ends in the moment that it is written to.
_WRITE_FAILED = "Internal error from Core"

LISTEN_S = 0.3
"""How long the stream after one that hid its reason is not written to: whoever is refused by the
headers, as with a wrong key, then hears why."""


def hides_its_reason(error: grpc.aio.AioRpcError) -> bool:
    """Whether a stream ended in the moment that it was written to: gRPC does not say why."""
    return error.code() is grpc.StatusCode.INTERNAL and (error.details() or "").startswith(
        _WRITE_FAILED
    )


def from_rpc_error(error: grpc.aio.AioRpcError, service: str) -> Exception:
    """Makes an exception of a failed call to `service`.

    A status with details is the service's own word and is passed on. One without
    comes from the transport: its text names addresses, so ours replaces it.
    """
    call: Any = error
    status = rpc_status.from_call(call)
    if status is not None:
        return from_status(status)
    # CANCELLED: by a server that stops. What our caller cancels raises no such error.
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or hides_its_reason(
        error
    ):
        return UnavailableError(f"{service} does not answer")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(f"{service} did not answer in time")
    return from_status(status_pb2.Status(code=error.code().value[0], message=error.details() or ""))
