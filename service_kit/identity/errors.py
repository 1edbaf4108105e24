"""Refusals of callers.

ServiceError
├── UnauthenticatedError  UNAUTHENTICATED: nobody knows who calls
├── ScopeDeniedError      PERMISSION_DENIED: not with these scopes
├── IndexDeniedError      PERMISSION_DENIED: not this index
├── NoAccessError         PERMISSION_DENIED: the contract lets nobody call it
└── RetryableError
    ├── RateLimitedError   RESOURCE_EXHAUSTED, with RetryInfo
    └── TooManyCallsError  RESOURCE_EXHAUSTED, with RetryInfo
"""

from collections.abc import Iterable
from datetime import timedelta

import grpc

from service_kit.errors import RetryableError, ServiceError


class IdentityError(Exception):
    """Callers cannot be told apart as the settings want it; its message tells the operator why."""


class UnauthenticatedError(ServiceError):
    """Nobody knows who calls. The caller hears the same whatever is wrong: nothing to learn from.

    Args:
        why: What is wrong, for the log alone.
    """

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"

    def __init__(self, why: str) -> None:
        super().__init__("a valid key or token is needed, as `authorization: Bearer …`")
        self.why = why


class ScopeDeniedError(ServiceError):
    """The caller is known, and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "SCOPE_MISSING"

    def __init__(self, needed: Iterable[str]) -> None:
        super().__init__(f"this needs the scope {' or '.join(sorted(needed))}")


class IndexDeniedError(ServiceError):
    """The caller is known, and may not use this index, whether or not there is one."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "INDEX_NOT_ALLOWED"

    def __init__(self, index: str) -> None:
        named = f"the index {index!r}" if index else "all indexes, which this needs"
        super().__init__(f"this key or token is not for {named}")


class NoAccessError(ServiceError):
    """The contract does not say who may call this: nobody may."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "METHOD_WITHOUT_ACCESS"

    def __init__(self) -> None:
        super().__init__("the contract does not say who may call this")


class RateLimitedError(RetryableError):
    """The caller asks faster than it may."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__("more requests a second than this key is for", retry_after)


class TooManyCallsError(RetryableError):
    """The caller has as many calls under way as it may."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_CALLS"

    def __init__(self, most: int) -> None:
        super().__init__(f"this key is for {most} calls at a time")
