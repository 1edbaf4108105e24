"""ServerService: what a server tells of itself."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from imagesearch.common.v1 import server_service_pb2 as pb
from imagesearch.common.v1 import server_service_pb2_grpc as pb_grpc

from service_kit.identity import callers
from service_kit.settings import ServerSettings

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

NAME = pb.DESCRIPTOR.services_by_name["ServerService"].full_name

_OURS = "imagesearch."
_DIGITS = 16


class ServerServicer(pb_grpc.ServerServiceServicer):
    """Tells what a server is.

    Args:
        settings: Of the server.
        services: Full names of the services it has.
    """

    def __init__(self, settings: ServerSettings, services: Sequence[str]) -> None:
        self._known = pb.Server(
            version=software_version(),
            contract=contract_of(services),
            services=services,
            max_message_bytes=settings.max_message_bytes,
        )
        self._known.started_at.FromDatetime(datetime.now(UTC))
        self._known.max_call.FromMilliseconds(round(settings.max_call_s * 1000))

    async def GetServer(
        self, request: pb.GetServerRequest, context: "Context"
    ) -> pb.GetServerResponse:
        """Says what this server is, how it is set up, and what the caller may do."""
        response = pb.GetServerResponse(server=self.describe())
        if (caller := callers.current()) is not None:
            response.caller.scopes.extend(sorted(caller.scopes))  # type: ignore[arg-type]
            response.caller.indexes.extend(caller.indexes)
        return response

    def describe(self) -> pb.Server:
        """What this server is, with the time it is now."""
        server = pb.Server()
        server.CopyFrom(self._known)
        server.time.FromDatetime(datetime.now(UTC))
        return server


def software_version() -> str:
    """The version of this software; "" where it is not installed as a package."""
    try:
        return version("imagesearch")
    except PackageNotFoundError:
        return ""


def contract_of(services: Iterable[str]) -> str:
    """A digest of the contracts of services, of ours alone: 16 hex digits.

    Args:
        services: Full names, in any order; their stubs must have been imported.
    """
    pool = descriptor_pool.Default()
    files: dict[str, bytes] = {}
    for name in services:
        if name.startswith(_OURS):
            _collect(pool.FindServiceByName(name).file, files)
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(files[name])
    return digest.hexdigest()[:_DIGITS]


def _collect(file: FileDescriptor, files: dict[str, bytes]) -> None:
    """Adds a file and those of ours that it imports."""
    if file.name in files or not file.package.startswith(_OURS):
        return
    files[file.name] = file.serialized_pb
    for imported in file.dependencies:
        _collect(imported, files)
