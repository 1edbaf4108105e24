"""`imagesearch tag`: labels for all images of an index, with progress, broken off and taken up."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from imagesearch.gateway.v1 import classification_pb2 as pb
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from imagesearch_cli.connection import CliError, connected
from imagesearch_cli.labels import Label, LabelSet, LabelsFile, Template, choice
from imagesearch_cli.options import ADDRESS, AsJson, Gateway, Tags, notes, run
from imagesearch_cli.search import all_tags
from imagesearch_client import AsyncClient, DeadlineError, UnavailableError

BREAKS = 5
"""Times in a row that a stream may break without an answer between."""


def tag_command(
    index: Annotated[str, typer.Option(help="Name of the index.")],
    label: Label = None,
    labels_file: LabelsFile = None,
    label_set: LabelSet = "",
    template: Template = None,
    tag: Tags = None,
    prefix: Annotated[str, typer.Option(help="Put before each tag, e.g. auto:")] = "",
    min_probability: Annotated[
        float, typer.Option(help="Leave out labels less likely than this, 0 to 1.")
    ] = 0.5,
    k: Annotated[int, typer.Option("-k", help="Most labels of an image, 1 to 100.")] = 1,
    dry_run: Annotated[bool, typer.Option(help="Write nothing.")] = False,
    state: Annotated[
        Path | None,
        typer.Option(help="File that remembers how far it got: run again, it goes on there."),
    ] = None,
    gateway: Gateway = ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Classify the images of an index and add the likeliest labels to their tags.

    With --json each image's answer is a line.
    Exit status: 0 all is done, 1 some images were refused, 3 the system is away.
    """
    options: dict[str, Any] = {
        "index": index,
        "filter": all_tags(tag),
        "write_tags": not dry_run,
        "tag_prefix": prefix,
        "min_probability": min_probability,
        "top_k": k,
    }
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=notes,
        disable=as_json or not notes.is_terminal,
    )
    counts: Counter[str] = Counter()
    refused: list[tuple[str, str]] = []

    async def work() -> None:
        options.update(choice(label, labels_file, label_set, template))
        with bar:
            task = bar.add_task("Tagging", total=None)
            async with connected(gateway) as client:
                async for answer in _all(client, options, state):
                    bar.update(task, advance=1, total=answer.total_count)
                    counts.update([each.name for each in answer.labels] or ["unknown"])
                    if answer.HasField("error"):
                        refused.append((answer.image_id, answer.error.message))
                    if as_json:
                        line = MessageToDict(answer, preserving_proto_field_name=True)
                        print(json.dumps(line, ensure_ascii=False), flush=True)

    run(work())
    if not as_json:
        _print(counts, refused)
    if refused:
        raise typer.Exit(1)


async def _all(
    client: AsyncClient, options: Mapping[str, Any], state: Path | None
) -> AsyncIterator[pb.ClassifyBatchResponse]:
    """All answers; a stream that breaks is taken up where it broke."""
    token = _read(state)
    breaks = 0
    while True:
        try:
            async for answer in client.classify_batch(**options, resume_token=token):
                token = answer.resume_token
                breaks = 0
                _write(state, token)
                yield answer
            break
        except (UnavailableError, DeadlineError):
            breaks += 1
            if breaks > BREAKS:
                raise
            await asyncio.sleep(min(2**breaks * 0.2, 5))
    _forget(state)


def _read(state: Path | None) -> str:
    if state is None or not state.exists():
        return ""
    try:
        return state.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{state} cannot be read: {error}") from error


def _write(state: Path | None, token: str) -> None:
    if state is None:
        return
    try:
        new = state.with_name(state.name + ".new")
        new.write_text(token, encoding="utf-8")
        new.replace(state)
    except OSError as error:
        raise CliError(f"{state} cannot be written: {error}") from error


def _forget(state: Path | None) -> None:
    if state is not None:
        state.unlink(missing_ok=True)


def _print(counts: Counter[str], refused: list[tuple[str, str]]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("label")
    table.add_column("images", justify="right")
    for name, count in counts.most_common():
        table.add_row(name, str(count))
    Console().print(table, highlight=False, markup=False)
    for image_id, why in refused[:20]:
        notes.print(f"{image_id[:12]}: {why}", highlight=False, markup=False)
    if len(refused) > 20:
        notes.print(f"… and {len(refused) - 20} more; --json tells all")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("tag")(tag_command)
