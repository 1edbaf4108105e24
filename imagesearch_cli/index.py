"""`imagesearch index`."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from imagesearch_cli import render
from imagesearch_cli.connection import CliError, connected
from imagesearch_cli.options import ADDRESS, AsJson, Gateway, Index, notes, print_json, run
from imagesearch_cli.progress import shown
from imagesearch_ingest import digests
from imagesearch_ingest.items import Source, SourceError
from imagesearch_ingest.journal import Journal, default_file
from imagesearch_ingest.listing import Choice
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.metadata import Describing
from imagesearch_ingest.opening import Kind, Opening
from imagesearch_ingest.patterns import PathPattern
from imagesearch_ingest.pruning import PruneRefusedError
from imagesearch_ingest.report import Report, Table
from imagesearch_ingest.running import SETTLE_S, Pruning, Run
from imagesearch_ingest.settings import Settings

_INTERRUPTED = 130


def index(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, a manifest (.jsonl), archives (.zip, .tar, .tar.gz, .tar.zst), parquet "
            "files, webdataset shards such as 'shard-{000000..000123}.tar', or a URL of any of "
            "them, s3://… for example."
        ),
    ],
    index: Index = "",
    tag: Annotated[
        list[str] | None, typer.Option(help="Label put on every image. May be repeated.")
    ] = None,
    kind: Annotated[
        Kind, typer.Option("--format", help="What the source is, if its name does not say.")
    ] = Kind.AUTO,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Passed over in folders; a pattern as in .gitignore. May be repeated."),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="FIELD=COLUMN: which column (or key of JSON) a field is in, e.g. caption=text or "
            "attributes.licence=license. May be repeated.",
        ),
    ] = None,
    pattern: Annotated[str, typer.Option(help="What paths say, e.g. '{tag}/{caption}.jpg'.")] = "",
    embedded: Annotated[
        bool, typer.Option(help="Read camera, place, keywords and caption from the images.")
    ] = True,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and keep the index in step with the folder.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete from the index what has gone from the source.")
    ] = False,
    prune_limit: Annotated[
        float, typer.Option(help="Largest share of the images that may have gone.", min=0, max=1)
    ] = 0.5,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; read and send nothing.")
    ] = False,
    retry_refused: Annotated[
        bool, typer.Option("--retry-refused", help="Try again what was refused before.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send everything, also what is known to be stored.")
    ] = False,
    streams: Annotated[int, typer.Option(help="Streams to the gateway.", min=1, max=64)] = 2,
    readers: Annotated[int, typer.Option(help="Threads that read.", min=1, max=256)] = 4,
    memory: Annotated[
        int, typer.Option(help="MB of images in memory at a time.", min=1, max=1_000_000)
    ] = 128,
    report_file: Annotated[
        Path | None,
        typer.Option("--report", help="Write what became of each image there, as CSV."),
    ] = None,
    journal_file: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            envvar="IMAGESEARCH_JOURNAL",
            help="Where it is remembered what was stored. Default: imagesearch/journal.sqlite in "
            "$XDG_STATE_HOME or ~/.local/state.",
            dir_okay=False,
        ),
    ] = None,
    gateway: Gateway = ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Put images into an index: from folders, manifests, archives, tables, here or elsewhere.

    Run it again at any time: what is stored is remembered, and only what is new or has
    changed is read. Ctrl-C finishes what is under way; a second one ends at once.
    Exit status: 0 all are stored, 1 some were refused, 3 the system is away, 130 interrupted.
    """
    try:
        opening = Opening(kind, exclude or (), Mapping.of(map_ or ()), SETTLE_S if watch else 0.0)
        place = opening.open(source)
        describing = Describing(tag or (), PathPattern(pattern) if pattern else None, embedded)
    except SourceError as error:
        raise typer.BadParameter(str(error)) from error
    recipe = digests.recipe(tag or [], map_ or [], pattern, embedded)
    settings = Settings(
        describing,
        recipe,
        Choice(again, retry_refused),
        streams,
        readers=readers,
        max_bytes=memory * 1_000_000,
        dry_run=dry_run,
        count=notes.is_terminal and not as_json and not watch,
    )
    pruning = Pruning(prune_limit, None if yes else _agree) if prune or watch else None
    report = Report()
    with ExitStack() as stack:
        table = Table(
            None
            if report_file is None
            else stack.enter_context(report_file.open("w", encoding="utf-8", newline=""))
        )
        job = _job(
            gateway, place, index, journal_file, settings, report, table, pruning, watch, as_json
        )
        run(job)
    _say(report, as_json)
    if report.interrupted:
        raise typer.Exit(0 if watch else _INTERRUPTED)
    if report.refused_count or report.known_refused:
        raise typer.Exit(1)


async def _job(
    gateway: str,
    source: Source,
    index: str,
    journal_file: Path | None,
    settings: Settings,
    report: Report,
    table: Table,
    pruning: Pruning | None,
    watch: bool,
    as_json: bool,
) -> None:
    try:
        with closing(Journal(journal_file or default_file())) as journal:
            async with connected(gateway) as client, shown(report, quiet=as_json):
                work = Run(client, source, index, journal, settings, report, table, pruning)
                with _interruptible(work.stop):
                    await (work.watch() if watch else work.once())
    except (SourceError, PruneRefusedError) as error:
        raise CliError(str(error)) from error
    except sqlite3.Error as error:
        raise CliError(f"the journal cannot be written: {error}") from error


def _interruptible(stop: Callable[[], None]) -> ExitStack:
    """Within this, the first Ctrl-C stops gently, and the second ends the process."""
    loop = asyncio.get_running_loop()
    pressed = False

    def on_signal() -> None:
        nonlocal pressed
        if pressed:
            notes.show_cursor(True)
            os._exit(_INTERRUPTED)  # what was acknowledged is in the journal already
        pressed = True
        notes.print("Finishing what is under way. Ctrl-C again ends at once.")
        stop()

    stack = ExitStack()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, on_signal)
        stack.callback(loop.remove_signal_handler, each)
    return stack


def _agree(gone: int, superseded: int) -> bool:
    """Asks whether documents may be deleted. Where nobody can be asked, they are not."""
    said = f"{gone} images have gone from the source"
    if superseded:
        said += f", {superseded} were replaced by others"
    if not notes.is_terminal:
        notes.print(f"{said}; without --yes they stay in the index.")
        return False
    return typer.confirm(f"{said}. Delete from the index those that are nowhere else?", err=True)


def _say(report: Report, as_json: bool) -> None:
    if not as_json:
        render.report(report)
        return
    refused = [{"relative_path": path, "reason": reason} for path, reason in report.refused]
    print_json(
        {
            "stored": report.stored,
            **report.outcomes,
            "known": report.known,
            "to_send": report.to_send,
            "refused_before": report.known_refused,
            "refused_count": report.refused_count,
            "refused": refused,
            "deleted": report.pruned,
            "kept": report.kept,
            "interrupted": report.interrupted,
        }
    )


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(index)
