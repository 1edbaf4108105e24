"""What the commands share: options, running, printing."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape

from imagesearch_cli.connection import CliError
from imagesearch_client import DEFAULT_ADDRESS

T = TypeVar("T")

ADDRESS = DEFAULT_ADDRESS

Gateway = Annotated[
    str,
    typer.Option(envvar="IMAGESEARCH_GATEWAY", help="Address of the gateway.", show_default=True),
]
Index = Annotated[str, typer.Option(help="Name of the index. Default: my-image-embeddings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="Only images with this label. May be repeated.")
]

notes = Console(stderr=True)
"""For what is no answer: progress, warnings, errors."""


def run(command: Coroutine[Any, Any, T]) -> T:
    """Runs a command's work; ends the command where it fails."""
    try:
        return asyncio.run(command)
    except CliError as error:
        notes.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error


def print_json(value: Any) -> None:
    """Prints a value, or a message, as JSON."""
    if isinstance(value, Message):
        value = MessageToDict(value, preserving_proto_field_name=True)
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()
