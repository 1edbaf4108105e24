"""The options that encrypt connections, the same for all commands."""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated

import typer

from imagesearch_client import ClientTls

_PANEL = "Encryption"

_chosen: ContextVar[ClientTls | None] = ContextVar("tls", default=None)


def choose(
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            envvar="IMAGESEARCH_TLS",
            rich_help_panel=_PANEL,
            help="Encrypt the connection. So does each of the next four.",
        ),
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="IMAGESEARCH_TLS_CA",
            rich_help_panel=_PANEL,
            help="Certificates that the server's is checked against, PEM. Default: the public "
            "authorities'.",
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="IMAGESEARCH_TLS_CERTIFICATE",
            rich_help_panel=_PANEL,
            help="Your own certificate, PEM, for servers that ask for one.",
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="IMAGESEARCH_TLS_KEY",
            rich_help_panel=_PANEL,
            help="Its private key, PEM.",
        ),
    ] = None,
    tls_name: Annotated[
        str,
        typer.Option(
            envvar="IMAGESEARCH_TLS_NAME",
            rich_help_panel=_PANEL,
            help="Name in the server's certificate, where that is not the host connected to.",
        ),
    ] = "",
) -> None:
    """Notes what was chosen. These options go before the command."""
    _chosen.set(ClientTls.wanted(tls, tls_ca, tls_certificate, tls_key, tls_name))


def chosen() -> ClientTls | None:
    """How connections of this command are encrypted; None: they are not."""
    return _chosen.get()
