"""The key that is sent with every call."""

import os
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated

import typer

ApiKey = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar="IMAGESEARCH_API_KEY",
        help="Key or token sent with every call. On the command line others on this machine can "
        "read it: better in the environment, or in a file.",
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        envvar="IMAGESEARCH_API_KEY_FILE",
        help="File that the key is in, instead.",
    ),
]

_given: ContextVar[str] = ContextVar("api_key", default="")


def use(api_key: ApiKey = "", api_key_file: ApiKeyFile = None) -> None:
    """Takes the options that come before the command."""
    if not api_key and api_key_file is not None and str(api_key_file) != ".":
        try:
            api_key = api_key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"{api_key_file} cannot be read: {error}") from error
    if not (api_key.isascii() and api_key.isprintable()):
        raise typer.BadParameter("the key has letters that no key has")
    _given.set(api_key)


def api_key() -> str:
    """The key of the options; of the environment where there were none. "": no key."""
    return _given.get() or os.environ.get("IMAGESEARCH_API_KEY", "")
