"""Versions, sources and duplicates as tables for people."""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.gateway.v1 import versions_pb2 as pb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

MOST_GROUPS = 20
MOST_IMAGES = 10


def name(relation: "pb.Relation.ValueType") -> str:
    """A relation in words."""
    if relation == pb.RELATION_UNSPECIFIED:
        return "-"
    return pb.Relation.Name(relation).removeprefix("RELATION_").lower().replace("_", " ")


def versions(response: pb.FindVersionsResponse) -> None:
    """Prints the versions of an image."""
    console = Console()
    if response.versions:
        table = _table("relation", "sure", "shows", "image", "size", "bytes", "id")
        for version in response.versions:
            image = version.image
            marks = [
                word
                for word, holds in (("largest", version.largest), ("earliest", version.earliest))
                if holds
            ]
            table.add_row(
                ", ".join(map(name, version.relations)),
                f"{version.confidence:.2f}",
                _shows(version),
                " ".join([escape(_title(image)), *(f"[green]{mark}[/green]" for mark in marks)]),
                _size(image.width, image.height),
                f"{image.size_bytes}",
                image.image_id[:12],
            )
        console.print(table, highlight=False)
    else:
        console.print("No versions found.")
    console.print(f"{response.candidate_count} images compared.", highlight=False)
    if response.skipped_count:
        console.print(f"{response.skipped_count} could not be compared.", highlight=False)


def sources(response: pb.FindSourceResponse) -> None:
    """Prints where an image was seen."""
    console = Console()
    if not response.sightings:
        console.print("Nobody has seen it.")
        return
    table = _table("earliest", "where", "page", "relation", "sure", "size")
    for sighting in response.sightings:
        source = sighting.source
        table.add_row(
            _day(sighting.earliest_at),
            escape(source.url or source.relative_path),
            escape(source.page_url),
            name(sighting.relation),
            f"{sighting.confidence:.2f}",
            _size(sighting.width, sighting.height),
        )
    console.print(table, highlight=False)
    if response.HasField("largest"):
        image = response.largest
        size = _size(image.width, image.height)
        console.print(f"Largest: {escape(_title(image))}, {size}", highlight=False)


def duplicates(groups: Sequence[pb.DuplicateGroup], summary: pb.DuplicateSummary) -> None:
    """Prints groups of duplicates, those that free the most bytes first."""
    console = Console()
    for number, group in enumerate(groups[:MOST_GROUPS], 1):
        table = _table("", "image", "size", "bytes", "relation", "sure", "id")
        for image in group.images[:MOST_IMAGES]:
            kept = image.image.image_id == group.keep_image_id
            table.add_row(
                "[green]keep[/green]" if kept else "",
                escape(_title(image.image)),
                _size(image.image.width, image.image.height),
                f"{image.image.size_bytes}",
                name(image.relation),
                f"{image.confidence:.2f}",
                image.image.image_id[:12],
            )
        freed = readable(group.reclaimable_bytes)
        console.print(f"\nGroup {number}: {len(group.images)} images, {freed} to free")
        console.print(table, highlight=False)
        if (rest := len(group.images) - MOST_IMAGES) > 0:
            console.print(f"… and {rest} more", highlight=False)
    if (rest := len(groups) - MOST_GROUPS) > 0:
        console.print(f"\n… and {rest} more groups; --csv or --json lists all", highlight=False)
    console.print(
        f"\n{summary.group_count} groups of {summary.image_count} images; "
        f"keeping one of each frees {readable(summary.reclaimable_bytes)}.",
        highlight=False,
    )
    if summary.skipped_count:
        console.print(f"{summary.skipped_count} images could not be compared.", highlight=False)


def readable(size: int) -> str:
    """Bytes as people say them."""
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        right = title in ("sure", "size", "bytes")
        table.add_column(title, justify="right" if right else "left", overflow="fold")
    return table


def _title(image: types.Document) -> str:
    return image.relative_path or image.image_name or image.image_id[:12]


def _size(width: int, height: int) -> str:
    return f"{width}x{height}"


def _day(time: Timestamp) -> str:
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M")


def _shows(version: pb.Version) -> str:
    """Which part of the query an image shows, where it is not all."""
    if version.query_overlap > 0.99:
        return "all"
    return f"{version.query_overlap:.0%} at {_place(version.query_box)}"


def _place(box: queries_pb.Box) -> str:
    return f"{box.left:.2f},{box.top:.2f} to {box.right:.2f},{box.bottom:.2f}"
