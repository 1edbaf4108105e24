"""A connection to the gateway, and its errors in words for people."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from imagesearch_cli import encryption
from imagesearch_cli.credentials import api_key
from imagesearch_client import (
    AsyncClient,
    CertificateError,
    DeadlineError,
    ImageSearchError,
    UnavailableError,
)
from service_kit.tls import refusals


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

    The key of the options or of IMAGESEARCH_API_KEY is sent along; encrypted as was chosen.
    """
    tls = encryption.chosen() or False
    try:
        client = AsyncClient(address, timeout=timeout, api_key=api_key(), tls=tls)
    except CertificateError as error:
        raise CliError(str(error)) from error
    async with client:
        try:
            yield client
        except ImageSearchError as error:
            raise explain(error, address) from error


def explain(error: ImageSearchError, address: str) -> CliError:
    """Says in words why a call failed, and what to do where that is known."""
    if isinstance(error, UnavailableError) and not error.reason:
        if why := unencrypted(error):
            return CliError(f"There is no connection to {address}: {why}.", exit_code=3)
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
    message = "\n".join(violations(error)) or error.message
    if error.code is grpc.StatusCode.INTERNAL and error.request_id:
        message += f" (request {error.request_id})"
    return CliError(message, exit_code=3 if away else 1)


def unencrypted(error: ImageSearchError) -> str:
    """Why encryption failed, if that is what did; else ""."""
    tls = encryption.chosen()
    if why := refusals.reason(error.message):
        hint = {refusals.UNTRUSTED: "see --tls-ca", refusals.OTHER_NAME: "see --tls-name"}
        return f"{why} ({hint[why]})" if why in hint else why
    if not refusals.is_cut(error.message):
        return ""
    if tls is None:
        return "it ends the connection; if it wants it encrypted, see --tls"
    if tls.certificate_file is None:
        return "it ends the connection; if it asks for a certificate, see --tls-certificate"
    return "it ends the connection; it may not take our certificate"


def violations(error: ImageSearchError) -> list[str]:
    """What is wrong with a request, one line a field."""
    return [f"{field}: {what}" for field, what in error.violations]
