"""The three services, asking everybody who they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.rpc import status_pb2
from grpc_status import rpc_status
from imagesearch.common.v1 import access_pb2

from service_kit.identity import keys, keys_editing
from service_kit.identity.keys_file import Key
from tests.helpers import Refusal, each

ALL_SCOPES = ("search", "ingest", "admin")

ADMIN_ONLY = {
    *("grpc.reflection.v1alpha.ServerReflection", "grpc.channelz.v1.Channelz"),
    "google.longrunning.Operations",
}

HEALTH = "grpc.health.v1.Health"


@dataclass
class Secured:
    """Services with one file of keys.

    Attributes:
        file: The file.
        addresses: Of the services, by name.
        methods: What each service has registered, as "/package.Service/Method".
    """

    file: Path
    addresses: dict[str, str] = field(default_factory=dict)
    methods: dict[str, set[str]] = field(default_factory=dict)

    def key(self, *scopes: str, **changes: Any) -> str:
        """A new key; with all scopes if none is named."""
        key_id, secret = keys.new()
        made = {"name": "test", "scopes": scopes or ALL_SCOPES, "indexes": ("*",), **changes}
        now = datetime.now(UTC)
        keys_editing.add(
            self.file, Key(id=key_id, sha256=keys.digest(secret), created_at=now, **made)
        )
        return secret

    def revoke(self, key: str) -> None:
        keys_editing.revoke(self.file, keys.id_of(key) or "")


@contextmanager
def registering(into: set[str]) -> Iterator[None]:
    """Notes every method that servers get meanwhile, whoever registers it."""
    server: Any = grpc.aio._server.Server  # type: ignore[attr-defined]
    add = server.add_generic_rpc_handlers

    def noted(self: Any, handlers: Any) -> None:
        for handler in handlers:
            into.update(handler._method_handlers)
        add(self, handlers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "add_generic_rpc_handlers", noted)
        yield


def described(method: str) -> MethodDescriptor:
    service, _, name = method.removeprefix("/").partition("/")
    found: MethodDescriptor = Default().FindMethodByName(f"{service}.{name}")
    return found


def service_of(method: str) -> str:
    return method.split("/")[1]


def scopes_of(method: str) -> set[str]:
    """The scopes of which a method needs one, read without the code that is tested."""
    if service_of(method) in ADMIN_ONLY:
        return {"admin"}
    numbers = described(method).GetOptions().Extensions[access_pb2.access].scopes
    return {access_pb2.Scope.Name(n).removeprefix("SCOPE_").lower() for n in numbers}


async def outcome(
    opened: grpc.aio.Channel, method: str, key: str = "", request: bytes = b"", **headers: str
) -> Refusal | None:
    """What a method of any kind says to one message; None: it answers."""
    while True:
        found = await _outcome(opened, method, key, request, headers)
        if found is None or found.message != "Internal error from Core":
            return found
        # The stream ended in the moment that it was written to: what was said is lost.


async def _outcome(
    opened: grpc.aio.Channel, method: str, key: str, request: bytes, headers: Mapping[str, str]
) -> Refusal | None:
    call: Any = opened.stream_stream(method)
    metadata = [*headers.items()]
    if key:
        metadata.append(("authorization", f"Bearer {key}"))
    running = call(each([request]), metadata=metadata, timeout=20)
    try:
        await running.read()
        if not running.done():
            return None
        code, text = await running.code(), await running.details()
    except grpc.aio.AioRpcError as error:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
        if status is None:
            status = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
        return Refusal(status)
    finally:
        running.cancel()
    if code is grpc.StatusCode.OK:
        return None
    return Refusal(status_pb2.Status(code=code.value[0], message=text))
