"""Answers as tables for people."""

from collections.abc import Sequence

from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from imagesearch_ingest.report import Report

MOST_REFUSED = 20


def page(response: queries_pb.SearchImagesResponse, names: Sequence[str], first: int) -> None:
    """Prints what a search found.

    Args:
        response: A page of it.
        names: What the terms are called.
        first: Rank of the page's first result.
    """
    console = Console()
    if response.nothing_matches:
        console.print("Nothing here matches" + ("; the nearest:" if response.results else "."))
    elif not response.results:
        console.print("Nothing found.")
    if response.results:
        console.print(_results(response.results, names, first), highlight=False)
    for facet in response.facets:
        values = ", ".join(f"{escape(each.value)} {each.count}" for each in facet.values)
        console.print(f"[bold]{escape(facet.field)}[/bold]: {values}", highlight=False)


def _results(found: Sequence[queries_pb.SearchResult], names: Sequence[str], first: int) -> Table:
    relevant = any(result.HasField("relevance") for result in found)
    folded = any(result.folded_image_ids for result in found)
    explained = any(result.explanation for result in found)
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("score", justify="right", no_wrap=True)
    if relevant:
        table.add_column("relevance", justify="right", no_wrap=True)
    table.add_column("image")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("format", no_wrap=True)
    table.add_column("id", no_wrap=True)
    if folded:
        table.add_column("like it", justify="right", no_wrap=True)
    for name in names if explained else ():
        table.add_column(escape(name[:20]), justify="right", no_wrap=True)
    for rank, result in enumerate(found, first):
        image = result.image
        row = [str(rank), f"{result.score:.4f}"]
        row += [f"{result.relevance:.2f}"] if relevant else []
        row += [
            escape(image.relative_path or image.image_name),
            f"{image.width}x{image.height}",
            image.format,
            image.image_id[:12],
        ]
        row += [f"+{len(result.folded_image_ids)}" if result.folded_image_ids else ""] * folded
        row += [f"{each.contribution:+.3f}" for each in result.explanation]
        table.add_row(*row)
    return table


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
