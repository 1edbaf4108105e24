"""Which clients may call, by the names in their certificates."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import grpc

from service_kit.errors import ServiceError

if TYPE_CHECKING:
    from service_kit.interceptors import Around, Call, Context


class ClientNotAllowedError(ServiceError):
    """The client's certificate is good, and for a name that may not call."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "CLIENT_NOT_ALLOWED"


def names_of(context: "Context") -> list[str]:
    """The names in the certificate of a call's client: DNS names, addresses and URIs."""
    found = context.auth_context().get("x509_subject_alternative_name", ())
    return [name.decode(errors="replace") for name in found]


def only(patterns: Sequence[str]) -> "Around":
    """Refuses the calls of all clients but some. Goes inside what makes statuses of errors.

    Args:
        patterns: Names; "*" stands for any letters.
    """

    @asynccontextmanager
    async def around(_call: "Call", context: "Context") -> AsyncIterator[None]:
        names = names_of(context)
        if not any(fnmatchcase(name, pattern) for name in names for pattern in patterns):
            who = f"for {', '.join(names)}" if names else "without names"
            raise ClientNotAllowedError(f"a client with a certificate {who} may not call this")
        yield

    return around
