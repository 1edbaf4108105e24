"""A connection to the gateway, and its errors in words for people."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from service_kit.client import channel

if TYPE_CHECKING:
    Stub = pb_grpc.ImageSearchServiceAsyncStub

NAME = pb.DESCRIPTOR.services_by_name["ImageSearchService"].full_name

AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
"""Codes after which the same call may work later."""


class CliError(Exception):
    """Ends the command.

    Args:
        message: What went wrong, for a person.
        exit_code: 1: the request was refused; 3: the system, or a part of it, is away.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@asynccontextmanager
async def connected(address: str) -> AsyncIterator["Stub"]:
    """Opens a connection; turns failed calls inside the block into CliError."""
    names = ("SearchByImage", "SearchByText", "GetImage", "GetImageContent", "GetStatus")
    async with channel(address, idempotent=[f"{NAME}/{name}" for name in names]) as opened:
        stub: Any = pb_grpc.ImageSearchServiceStub(opened)
        try:
            yield stub
        except grpc.aio.AioRpcError as error:
            raise explain(error, address) from error


def explain(error: grpc.aio.AioRpcError, address: str) -> CliError:
    """Says in words why a call failed, and what to do where that is known."""
    call: Any = error
    status = rpc_status.from_call(call)
    if status is None and error.code() is grpc.StatusCode.UNAVAILABLE:
        return CliError(
            f"No gateway answers at {address}. Start one with `make run`, "
            "or name another with --gateway.",
            exit_code=3,
        )
    lines = violations(status) if status is not None else []
    message = "\n".join(lines) or error.details() or error.code().name
    return CliError(message, exit_code=3 if error.code() in AWAY else 1)


def violations(status: Any) -> list[str]:
    """Reads the field violations of a google.rpc.Status, one line each."""
    bad = error_details_pb2.BadRequest()
    return [
        f"{violation.field}: {violation.description}"
        for detail in status.details
        if detail.Unpack(bad)
        for violation in bad.field_violations
    ]
