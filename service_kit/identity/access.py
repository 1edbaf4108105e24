"""Who may call an RPC: as its contract says, and for contracts of others as the table here does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from imagesearch.common.v1 import access_pb2


@dataclass(frozen=True)
class Rule:
    """Who may call an RPC.

    Attributes:
        scopes: One of these is needed.
        index_fields: Paths of the request's fields that name an index.
        every_index: Callers limited to some indexes may not call it.
        is_open: Anybody may call it, without saying who they are.
    """

    scopes: frozenset[int] = frozenset()
    index_fields: tuple[tuple[str, ...], ...] = ()
    every_index: bool = False
    is_open: bool = False

    def indexes_in(self, request: Message) -> Iterator[str]:
        """The indexes that a request names; "" where it leaves the name out."""
        for path in self.index_fields:
            yield from _texts(request, path)


OPEN = Rule(is_open=True)
_ADMIN = Rule(frozenset({access_pb2.SCOPE_ADMIN}))

FOREIGN = {
    # Whoever asks for health is a machine without a key: a load balancer, a kubelet.
    "grpc.health.v1.Health": OPEN,
    "grpc.reflection.v1alpha.ServerReflection": _ADMIN,
    "grpc.reflection.v1.ServerReflection": _ADMIN,
    "grpc.channelz.v1.Channelz": _ADMIN,
    # search_service shows callers the operations of their own indexes only.
    "google.longrunning.Operations": _ADMIN,
}
"""Services whose contracts are not ours, and who may call them."""


class Rules:
    """Finds rules, and remembers them."""

    def __init__(self) -> None:
        self._found: dict[str, Rule] = {}

    def of(self, method: str) -> Rule | None:
        """The rule of an RPC, e.g. "/imagesearch.gateway.v1.ImageSearchService/SearchByText".

        None: there is no such RPC, or nobody may call it. Only what is found is remembered:
        callers may ask for any name.
        """
        if (rule := self._found.get(method)) is None and (rule := _declared(method)) is not None:
            self._found[method] = rule
        return rule


def _declared(method: str) -> Rule | None:
    service, _, name = method.removeprefix("/").partition("/")
    if (foreign := FOREIGN.get(service)) is not None:
        return foreign
    try:
        described = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return None
    access = described.GetOptions().Extensions[access_pb2.access]
    scopes = frozenset(access.scopes) - {access_pb2.SCOPE_UNSPECIFIED}
    if not scopes:
        return None
    paths = tuple(tuple(path.split(".")) for path in access.index_fields)
    return Rule(scopes, paths, access.every_index)


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Message):
        yield from _texts(getattr(value, path[0]), path[1:])
    else:
        for each in value:
            yield from _texts(each, path)
