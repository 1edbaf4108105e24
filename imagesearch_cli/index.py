"""`imagesearch index`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imagesearch_cli import render
from imagesearch_cli.connection import connected
from imagesearch_cli.ingest import Report, find_images, index_images
from imagesearch_cli.options import ADDRESS, AsJson, Gateway, Index, notes, print_json, run


def index(
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

    async def work() -> Report:
        with bar:
            task = bar.add_task("Indexing", total=len(paths))

            def progress(report: Report) -> None:
                bar.update(task, completed=report.stored + len(report.refused))

            async with connected(gateway) as client:
                return await index_images(
                    client, folder, paths, index=index, tags=tag or [], progress=progress
                )

    report = run(work())
    if as_json:
        refused = [{"relative_path": path, "reason": reason} for path, reason in report.refused]
        print_json({"stored": report.stored, **report.outcomes, "refused": refused})
    else:
        render.report(report)
    if report.refused:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(index)
