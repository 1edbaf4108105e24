"""The `imagesearch` command."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from imagesearch.common.v1 import types_pb2
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imagesearch_cli import collect, render
from imagesearch_cli.connection import CliError, connected
from imagesearch_cli.ingest import MAX_IMAGE_BYTES, Report, find_images, index_images

T = TypeVar("T")

app = typer.Typer(
    help="Search images by image, and by text in any language.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(collect.app, name="collect")
notes = Console(stderr=True)

Gateway = Annotated[
    str,
    typer.Option(envvar="IMAGESEARCH_GATEWAY", help="Address of the gateway.", show_default=True),
]
Index = Annotated[str, typer.Option(help="Name of the index. Default: my-image-embeddings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)]

ADDRESS = "127.0.0.1:50050"


@app.command("index")
def index_command(
    folder: Annotated[
        Path, typer.Argument(help="Folder with images.", exists=True, file_okay=False)
    ],
    index: Index = "",
    tag: Annotated[
        list[str] | None, typer.Option(help="Label put on every image. May be repeated.")
    ] = None,
    gateway: Gateway = ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Put the images of a folder, and of the folders in it, into an index.

    Run it again at any time: the same image is never stored twice.
    Exit status: 0 all are stored, 1 some were refused, 3 the system is away.
    """
    folder = folder.resolve()
    paths = list(find_images(folder))
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=notes,
        disable=as_json or not notes.is_terminal,
    )

    async def run() -> Report:
        with bar:
            task = bar.add_task("Indexing", total=len(paths))

            def progress(report: Report) -> None:
                bar.update(task, completed=report.stored + len(report.refused))

            async with connected(gateway) as stub:
                return await index_images(
                    stub, folder, paths, index=index, tags=tag or [], progress=progress
                )

    report = _run(run())
    if as_json:
        refused = [{"relative_path": path, "reason": reason} for path, reason in report.refused]
        _print_json({"stored": report.stored, **report.outcomes, "refused": refused})
    else:
        render.report(report)
    if report.refused:
        raise typer.Exit(1)


@app.command()
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
    tag: Annotated[
        list[str] | None, typer.Option(help="Only images with this label. May be repeated.")
    ] = None,
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
    options: dict[str, Any] = {"index": index, "k": k, "min_score": min_score}
    if tag:
        options["filter"] = _all_tags(tag)

    async def run() -> pb.SearchByImageResponse | pb.SearchByTextResponse:
        async with connected(gateway) as stub:
            if text:
                by_text = pb.SearchByTextRequest(text=text, **options)
                return await stub.SearchByText(by_text, timeout=timeout)
            source: dict[str, Any] = (
                {"image_id": image_id} if file is None else {"image": _read(file)}
            )
            by_image = pb.SearchByImageRequest(**source, **options)
            return await stub.SearchByImage(by_image, timeout=timeout)

    response = _run(run())
    if as_json:
        _print_json(MessageToDict(response, preserving_proto_field_name=True))
    else:
        render.results(response.results)
        if isinstance(response, pb.SearchByTextResponse) and response.truncated:
            notes.print("The text was longer than the model reads; its beginning was used.")


@app.command()
def status(
    index: Index = "",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 10.0,
    as_json: AsJson = False,
) -> None:
    """Say which parts answer, what they run, and how much the index holds.

    Exit status: 0 all parts serve, 3 one is away.
    """

    async def run() -> pb.GetStatusResponse:
        async with connected(gateway) as stub:
            return await stub.GetStatus(pb.GetStatusRequest(index=index), timeout=timeout)

    response = _run(run())
    if as_json:
        _print_json(MessageToDict(response, preserving_proto_field_name=True))
    else:
        render.status(response)
    if not all(component.serving for component in response.components):
        raise typer.Exit(3)


def _all_tags(tags: list[str]) -> types_pb2.Filter:
    conditions = [
        types_pb2.Filter(
            term=types_pb2.TermCondition(field="tags", value=types_pb2.FilterValue(text=tag))
        )
        for tag in tags
    ]
    return types_pb2.Filter(all_of=types_pb2.FilterList(filters=conditions))


def _read(file: Path) -> bytes:
    if (size := file.stat().st_size) > MAX_IMAGE_BYTES:
        raise CliError(f"{file} has {size} bytes; at most {MAX_IMAGE_BYTES} are allowed")
    return file.read_bytes()


def _run(command: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(command)
    except CliError as error:
        notes.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error


def _print_json(value: Any) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    print()


def main() -> None:
    """Runs the command."""
    app()
