"""The caller of the call being answered."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from imagesearch.common.v1 import access_pb2

from service_kit.errors import ServiceError
from service_kit.identity.errors import UnauthenticatedError
from service_kit.identity.limits import UNLIMITED, Limiter

DEFAULT_INDEX = "my-image-embeddings"
"""The index of requests that name none."""

SCOPES = {
    name.removeprefix("SCOPE_").lower(): number
    for name, number in access_pb2.Scope.items()
    if number != access_pb2.SCOPE_UNSPECIFIED
}
"""Scopes by the names that people write: "search", …"""

NAMES: dict[int, str] = {number: name for name, number in SCOPES.items()}


@dataclass(frozen=True)
class Caller:
    """Somebody who has shown who they are.

    Attributes:
        id: For the log: "key:" and the key's id, or "token:" and the token's subject.
        scopes: What they may do.
        indexes: The indexes that they may use: names, or beginnings of names and "*".
        expires_at: When what they have shown stops being good, as Unix time; None: never.
        limiter: Keeps them within their limits.
    """

    id: str
    scopes: frozenset[int]
    indexes: tuple[str, ...]
    expires_at: float | None = None
    limiter: Limiter = field(default=UNLIMITED, compare=False, repr=False)

    @property
    def every_index(self) -> bool:
        """Whether they may use all indexes."""
        return "*" in self.indexes

    def may_use(self, index: str) -> bool:
        """Whether they may use an index; "" is the default one."""
        name = index or DEFAULT_INDEX
        return any(
            name.startswith(each[:-1]) if each.endswith("*") else name == each
            for each in self.indexes
        )


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
_refusal: ContextVar[ServiceError | None] = ContextVar("refusal", default=None)


def begin(caller: Caller) -> None:
    """Says who calls, for the rest of this call."""
    _caller.set(caller)


def current() -> Caller | None:
    """Who calls. None: callers are not asked who they are, or this is nobody's call."""
    return _caller.get()


def may_see(index: str) -> bool:
    """Whether the caller may know of an index; of one without a name only if of all."""
    caller = current()
    return caller is None or caller.every_index or (bool(index) and caller.may_use(index))


def refuse(error: ServiceError) -> None:
    """Says why this call is refused."""
    _refusal.set(error)


def refusal() -> ServiceError | None:
    """Why this call is refused; None: it is not."""
    return _refusal.get()


def log_fields() -> dict[str, str]:
    """What the log says of the caller; never of their key."""
    fields = {}
    if (caller := current()) is not None:
        fields["caller"] = caller.id
    if isinstance(error := refusal(), UnauthenticatedError):
        fields["why"] = error.why
    return fields


def names_of(scopes: Iterable[int]) -> list[str]:
    """Names of scopes."""
    return [NAMES[scope] for scope in scopes]
