"""The options that encrypt connections, the same for all commands."""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated

import typer

from imagesearch_client import ClientTls

_PANEL = "Encryption"

Tls = Annotated[
    bool,
    typer.Option(
        "--tls",
        envvar="IMAGESEARCH_TLS",
        rich_help_panel=_PANEL,
        help="Encrypt the connection. So does each of the next four.",
    ),
]
Authorities = Annotated[
    Path | None,
    typer.Option(
        envvar="IMAGESEARCH_TLS_CA",
        rich_help_panel=_PANEL,
        help="Certificates that the server's is checked against, PEM. Default: the public "
        "authorities'.",
    ),
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        envvar="IMAGESEARCH_TLS_CERTIFICATE",
        rich_help_panel=_PANEL,
        help="Your own certificate, PEM, for servers that ask for one.",
    ),
]
PrivateKey = Annotated[
    Path | None,
    typer.Option(
        envvar="IMAGESEARCH_TLS_KEY", rich_help_panel=_PANEL, help="Its private key, PEM."
    ),
]
ServerName = Annotated[
    str,
    typer.Option(
        envvar="IMAGESEARCH_TLS_NAME",
        rich_help_panel=_PANEL,
        help="Name in the server's certificate, where that is not the host connected to.",
    ),
]

_chosen: ContextVar[ClientTls | None] = ContextVar("tls", default=None)


def choose(
    tls: bool, ca: Path | None, certificate: Path | None, key: Path | None, name: str
) -> None:
    """Takes the options that come before the command."""
    _chosen.set(ClientTls.wanted(tls, ca, certificate, key, name))


def chosen() -> ClientTls | None:
    """How connections of this command are encrypted; None: they are not."""
    return _chosen.get()
