"""Answers as tables for people."""

from collections.abc import Sequence

from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from imagesearch_ingest.report import Report

MOST_REFUSED = 20


def results(found: Sequence[queries_pb.SearchResult]) -> None:
    """Prints what a search found."""
    console = Console()
    if not found:
        console.print("Nothing found.")
        return
    table = Table(box=None, pad_edge=False)
    for title, justify in (
        ("#", "right"),
        ("score", "right"),
        ("image", "left"),
        ("size", "right"),
        ("format", "left"),
        ("id", "left"),
    ):
        table.add_column(title, justify=justify, no_wrap=title != "image")  # type: ignore[arg-type]
    for rank, result in enumerate(found, 1):
        image = result.image
        table.add_row(
            str(rank),
            f"{result.score:.4f}",
            image.relative_path or image.image_name,
            f"{image.width}x{image.height}",
            image.format,
            image.image_id[:12],
        )
    console.print(table, highlight=False)


def report(report: Report) -> None:
    """Prints what became of the images of a folder."""
    console = Console()
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.outcomes.items()))
    console.print(f"{report.stored} images stored" + (f" ({counts})" if counts else ""))
    for count, what in (
        (report.to_send, "would be read, and sent if they are new"),
        (report.known_refused, "were refused before; --retry-refused tries them again"),
        (report.unsettled, "are still being written; another run takes them"),
        (report.pruned, "deleted, which were nowhere any more"),
        (report.kept, "kept although they have gone: others put them there too"),
    ):
        if count:
            console.print(f"{count} {what}")
    if not report.refused:
        return
    table = Table(title=f"{report.refused_count} refused", title_justify="left", box=None)
    table.add_column("image")
    table.add_column("reason")
    for path, reason in report.refused[:MOST_REFUSED]:
        table.add_row(escape(path), escape(reason))
    if (rest := report.refused_count - MOST_REFUSED) > 0:
        table.add_row("…", f"and {rest} more; --report FILE lists all")
    console.print(table, highlight=False)


def status(response: pb.GetStatusResponse) -> None:
    """Prints the state of the system."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for component in response.components:
        mark = "[green]serving[/green]" if component.serving else "[red]away[/red]"
        table.add_row(component.name, mark, component.detail)
    table.add_row("models", response.image_model or "-", response.text_model)
    if response.HasField("index"):
        index = response.index
        detail = f"{index.document_count} images, {index.size_bytes / 1e6:.1f} MB, {index.health}"
        table.add_row("index", index.name, detail)
    else:
        table.add_row("index", "-", "none of that name yet")
    Console().print(table, highlight=False)
