"""`imagesearch search`."""

from functools import reduce
from operator import and_
from pathlib import Path
from typing import Annotated, Any

import typer
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_cli import render
from imagesearch_cli.connection import CliError, connected
from imagesearch_cli.options import (
    ADDRESS,
    AsJson,
    Gateway,
    Index,
    Tags,
    Timeout,
    notes,
    print_json,
    run,
)
from imagesearch_client import Filter, field, image_bytes


def search(
    file: Annotated[
        Path | None, typer.Argument(help="Image to look for.", exists=True, dir_okay=False)
    ] = None,
    text: Annotated[str, typer.Option(help="Text to look for, in any language.")] = "",
    image_id: Annotated[str, typer.Option("--id", help="Id of an indexed image.")] = "",
    k: Annotated[int, typer.Option("-k", help="Most results.")] = 10,
    min_score: Annotated[
        float | None, typer.Option(help="Only results with at least this score, -1 to 1.")
    ] = None,
    tag: Tags = None,
    index: Index = "",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Search by an image FILE, by --text, or by --id.

    Exit status: 0 there was an answer, 1 the request was refused, 3 the system is away.
    """
    if sum((file is not None, bool(text), bool(image_id))) != 1:
        raise typer.BadParameter("give exactly one of FILE, --text and --id")
    options: dict[str, Any] = {
        "index": index,
        "k": k,
        "min_score": min_score,
        "filter": all_tags(tag),
    }

    async def work() -> pb.SearchByImageResponse | pb.SearchByTextResponse:
        async with connected(gateway, timeout) as client:
            if text:
                return await client.search_by_text(text, **options)
            if file is not None:
                return await client.search_by_image(read(file), **options)
            return await client.search_by_image(image_id=image_id, **options)

    response = run(work())
    if as_json:
        print_json(response)
    else:
        render.results(response.results)
        if isinstance(response, pb.SearchByTextResponse) and response.truncated:
            notes.print("The text was longer than the model reads; its beginning was used.")


def all_tags(tags: list[str] | None) -> Filter | None:
    """The condition that an image has all these labels; None: any image."""
    return reduce(and_, (field("tags") == tag for tag in tags)) if tags else None


def read(file: Path) -> bytes:
    """Reads an image to search by.

    Raises:
        CliError: It cannot be read, or is too large.
    """
    try:
        return image_bytes(file)
    except (OSError, ValueError) as error:
        raise CliError(str(error)) from error


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(search)
