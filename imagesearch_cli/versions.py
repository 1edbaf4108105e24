"""`imagesearch versions` and `imagesearch source`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from imagesearch.gateway.v1 import versions_pb2 as pb

from imagesearch_cli import version_tables
from imagesearch_cli.connection import connected
from imagesearch_cli.options import (
    ADDRESS,
    AsJson,
    Gateway,
    Index,
    Tags,
    Timeout,
    print_json,
    run,
)
from imagesearch_cli.search import all_tags
from imagesearch_cli.terms import read_image

File = Annotated[
    Path | None, typer.Argument(help="Image to look for.", exists=True, dir_okay=False)
]
Id = Annotated[str, typer.Option("--id", help="Id of an indexed image.")]
Url = Annotated[str, typer.Option(help="Address of an image, where the server allows that.")]
Candidates = Annotated[
    int | None, typer.Option(help="Most images that are compared, 1 to 500. Default: 50.")
]
Sure = Annotated[float | None, typer.Option(help="Only versions at least this sure, 0 to 1.")]


def versions(
    file: File = None,
    image_id: Id = "",
    url: Url = "",
    candidates: Candidates = None,
    min_confidence: Sure = None,
    tag: Tags = None,
    index: Index = "",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Find the same picture in other forms: of an image FILE, of an --id, of a --url.

    Exit status: 0 there was an answer, 1 the request was refused, 3 the system is away.
    """
    options = _options(file, image_id, url, index, tag, candidates, min_confidence)

    async def work() -> pb.FindVersionsResponse:
        async with connected(gateway, timeout) as client:
            return await client.find_versions(**options)

    response = run(work())
    if as_json:
        print_json(response)
    else:
        version_tables.versions(response)


def source(
    file: File = None,
    image_id: Id = "",
    url: Url = "",
    candidates: Candidates = None,
    min_confidence: Sure = None,
    tag: Tags = None,
    index: Index = "",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Find where an image and its versions were seen, earliest first.

    Exit status: 0 there was an answer, 1 the request was refused, 3 the system is away.
    """
    options = _options(file, image_id, url, index, tag, candidates, min_confidence)

    async def work() -> pb.FindSourceResponse:
        async with connected(gateway, timeout) as client:
            return await client.find_source(**options)

    response = run(work())
    if as_json:
        print_json(response)
    else:
        version_tables.sources(response)


def _options(
    file: Path | None,
    image_id: str,
    url: str,
    index: str,
    tag: list[str] | None,
    candidates: int | None,
    min_confidence: float | None,
) -> dict[str, Any]:
    if sum((file is not None, bool(image_id), bool(url))) != 1:
        raise typer.BadParameter("give exactly one of FILE, --id and --url")
    return {
        "image": None if file is None else read_image(file),
        "image_id": image_id or None,
        "url": url or None,
        "index": index,
        "filter": all_tags(tag),
        "max_candidates": candidates,
        "min_confidence": min_confidence,
    }


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(versions)
    app.command()(source)
