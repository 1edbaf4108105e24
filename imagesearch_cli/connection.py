"""A connection to the gateway, and its errors in words for people."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from imagesearch_cli.credentials import api_key
from imagesearch_client import (
    AsyncClient,
    DeadlineError,
    ImageSearchError,
    UnavailableError,
)


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
async def connected(address: str, timeout: float = 30.0) -> AsyncIterator[AsyncClient]:
    """Opens a connection; turns failed calls inside the block into CliError.

    The key of the options or of IMAGESEARCH_API_KEY is sent along; IMAGESEARCH_TLS=1 encrypts.
    """
    key = api_key()
    tls = os.environ.get("IMAGESEARCH_TLS", "") not in ("", "0")
    async with AsyncClient(address, timeout=timeout, api_key=key, tls=tls) as client:
        try:
            yield client
        except ImageSearchError as error:
            raise explain(error, address) from error


def explain(error: ImageSearchError, address: str) -> CliError:
    """Says in words why a call failed, and what to do where that is known."""
    if isinstance(error, UnavailableError) and not error.reason:
        return CliError(
            f"No gateway answers at {address}. Start one with `make run`, "
            "or name another with --gateway.",
            exit_code=3,
        )
    if error.code is grpc.StatusCode.UNAUTHENTICATED:
        return CliError(
            f"{address} asks for a valid key: set IMAGESEARCH_API_KEY, or name a file of it with "
            "`imagesearch --api-key-file`."
        )
    away = isinstance(error, UnavailableError | DeadlineError)
    return CliError("\n".join(violations(error)) or error.message, exit_code=3 if away else 1)


def violations(error: ImageSearchError) -> list[str]:
    """What is wrong with a request, one line a field."""
    return [f"{field}: {what}" for field, what in error.violations]
