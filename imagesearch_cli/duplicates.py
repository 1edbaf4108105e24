"""`imagesearch duplicates`."""

import csv
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from imagesearch.gateway.v1 import versions_pb2 as pb
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imagesearch_cli import version_tables
from imagesearch_cli.connection import connected
from imagesearch_cli.options import ADDRESS, AsJson, Gateway, Index, Tags, notes, print_json, run
from imagesearch_cli.search import all_tags
from imagesearch_client import AsyncClient

_DELETED_AT_A_TIME = 500

_COLUMNS = (
    "group",
    "keep",
    "image_id",
    "relative_path",
    "url",
    "width",
    "height",
    "format",
    "size_bytes",
    "relation",
    "confidence",
)


class Keep(StrEnum):
    """Which image of a group is suggested to be kept."""

    LARGEST = "largest"
    OLDEST = "oldest"


_RULES = {Keep.LARGEST: pb.KEEP_RULE_LARGEST, Keep.OLDEST: pb.KEEP_RULE_OLDEST}


@dataclass
class Report:
    """What a scan has said so far."""

    scan_id: str = ""
    groups: list[pb.DuplicateGroup] = field(default_factory=list)
    summary: pb.DuplicateSummary | None = None

    @property
    def others(self) -> list[str]:
        """Ids of all images but those that are suggested to be kept."""
        return [
            image.image.image_id
            for group in self.groups
            for image in group.images
            if image.image.image_id != group.keep_image_id
        ]


def duplicates(
    keep: Annotated[
        Keep, typer.Option(help="Which image of a group to suggest to be kept.")
    ] = Keep.LARGEST,
    min_confidence: Annotated[
        float | None, typer.Option(help="Only pairs at least this sure, 0 to 1. Default: 0.5.")
    ] = None,
    neighbors: Annotated[
        int | None, typer.Option(help="Most neighbours each image is compared with. Default: 10.")
    ] = None,
    resume: Annotated[
        str, typer.Option(metavar="SCAN", help="Go on with a scan that was broken off.")
    ] = "",
    report: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write all groups to a file too.")
    ] = None,
    delete: Annotated[
        bool, typer.Option(help="Delete all but the image to keep of each group; asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option(help="Do not ask.")] = False,
    tag: Tags = None,
    index: Index = "",
    gateway: Gateway = ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Find all groups of images of an index that are forms of one picture.

    Exit status: 0 there was an answer, 1 the request was refused, 3 the system is away.
    """
    found = Report(resume)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=notes,
        disable=as_json or not notes.is_terminal,
    )

    async def scan() -> None:
        async with connected(gateway) as client:
            events = client.find_duplicates(
                index=index,
                filter=all_tags(tag),
                scan_id=resume,
                min_confidence=min_confidence,
                max_neighbors=neighbors,
                keep=_RULES[keep],
            )
            async with aclosing(events):
                async for event in events:
                    _note(event, found, bar)

    try:
        with bar:
            bar.add_task("Comparing", total=None)
            run(scan())
    except typer.Exit:
        if found.scan_id and found.scan_id != resume:
            notes.print(f"To go on: imagesearch duplicates --resume {found.scan_id}")
        raise
    summary = found.summary or pb.DuplicateSummary()
    if report is not None:
        write_csv(report, found.groups)
    if as_json:
        groups = [MessageToDict(each, preserving_proto_field_name=True) for each in found.groups]
        told = MessageToDict(summary, preserving_proto_field_name=True)
        print_json({"groups": groups, "summary": told})
    else:
        version_tables.duplicates(found.groups, summary)
    if delete and found.others:
        _delete(found, index, gateway, yes)


def _note(event: pb.FindDuplicatesResponse, found: Report, bar: Progress) -> None:
    match event.WhichOneof("event"):
        case "progress":
            found.scan_id = event.progress.scan_id
            bar.update(
                bar.task_ids[0],
                completed=event.progress.checked_count,
                total=event.progress.total_count,
            )
        case "group":
            found.groups.append(event.group)
        case "summary":
            found.summary = event.summary


def _delete(found: Report, index: str, gateway: str, yes: bool) -> None:
    count = len(found.others)
    if not yes:
        typer.confirm(f"Delete {count} images from the index and the store?", abort=True, err=True)

    async def work() -> int:
        async with connected(gateway) as client:
            return await _deleted(client, index, found.others)

    notes.print(f"{run(work())} images deleted.", highlight=False)


async def _deleted(client: AsyncClient, index: str, image_ids: Sequence[str]) -> int:
    deleted = 0
    for begin in range(0, len(image_ids), _DELETED_AT_A_TIME):
        some = image_ids[begin : begin + _DELETED_AT_A_TIME]
        deleted += len((await client.delete_images(some, index=index)).deleted_image_ids)
    return deleted


def write_csv(file: Path, groups: Sequence[pb.DuplicateGroup]) -> None:
    """Writes groups to a file, a line an image."""
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.DictWriter(out, _COLUMNS)
        rows.writeheader()
        for number, group in enumerate(groups, 1):
            for member in group.images:
                image = member.image
                rows.writerow(
                    {
                        "group": number,
                        "keep": "yes" if image.image_id == group.keep_image_id else "no",
                        "url": image.sources[0].url if image.sources else "",
                        "relation": version_tables.name(member.relation),
                        "confidence": f"{member.confidence:.3f}",
                        **{
                            name: getattr(image, name)
                            for name in _COLUMNS
                            if name in image.DESCRIPTOR.fields_by_name
                        },
                    }
                )


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(duplicates)
