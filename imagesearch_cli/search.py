"""`imagesearch search`, and what it shares with `imagesearch compose`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Annotated, Any

import typer
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from imagesearch_cli import render
from imagesearch_cli.connection import connected
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
from imagesearch_cli.terms import read_image, read_region
from imagesearch_client import Filter, field, term

MOST = 1_000
"""Most results that a search gives, over all pages."""

K = Annotated[int, typer.Option("-k", help="Most results.")]
MinScore = Annotated[
    float | None, typer.Option(help="Only results with at least this score, -1 to 1.")
]
Lucene = Annotated[str, typer.Option(help="Lucene query that images must match too.")]
Facet = Annotated[
    list[str] | None,
    typer.Option(help="Count the values of this field among the results. May be repeated."),
]
Relevance = Annotated[
    bool, typer.Option("--relevance", help="Say how relevant each result is, or that none is.")
]
MinRelevance = Annotated[
    float | None, typer.Option(help="Only results with at least this relevance, 0 to 1.")
]
Fold = Annotated[bool, typer.Option("--fold", help="Show of near-identical images only the best.")]
Explain = Annotated[bool, typer.Option("--explain", help="Show what each term gave to each score.")]
PageSize = Annotated[int, typer.Option(help="Show so many results, then ask.", min=0, max=MOST)]
All = Annotated[bool, typer.Option("--all", help=f"All results, page by page: up to {MOST:,}.")]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a search, and how it is shown.

    Attributes:
        options: Of `search_images`.
        page_size: Results after which a person is asked whether to go on; 0: never.
        as_json: Print JSON.
        names: What the terms are called.
    """

    options: dict[str, Any]
    page_size: int
    as_json: bool
    names: Sequence[str]


def search(
    file: Annotated[
        Path | None, typer.Argument(help="Image to look for.", exists=True, dir_okay=False)
    ] = None,
    text: Annotated[str, typer.Option(help="Text to look for, in any language.")] = "",
    image_id: Annotated[str, typer.Option("--id", help="Id of an indexed image.")] = "",
    region: Annotated[
        str,
        typer.Option(
            help="Only this part of the image: LEFT,TOP,RIGHT%,BOTTOM% or LEFT,TOP,WIDTHxHEIGHT."
        ),
    ] = "",
    k: K = 10,
    min_score: MinScore = None,
    tag: Tags = None,
    lucene: Lucene = "",
    facet: Facet = None,
    relevance: Relevance = False,
    min_relevance: MinRelevance = None,
    fold: Fold = False,
    page_size: PageSize = 0,
    all_: All = False,
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
    if region and text:
        raise typer.BadParameter("--region is for images")

    def terms() -> list[queries_pb.QueryTerm]:
        part = read_region(region) if region else None
        if file is not None:
            return [term(image=read_image(file), region=part)]
        return [term(image_id=image_id, region=part) if image_id else term(text)]

    options = search_options(
        k, min_score, tag, lucene, facet, relevance, min_relevance, fold, index, all_
    )
    wanted = Wanted(options, page_size, as_json, [str(file or text or image_id)])
    run(show(terms, wanted, gateway, timeout))


def search_options(
    k: int,
    min_score: float | None,
    tag: list[str] | None,
    lucene: str,
    facet: list[str] | None,
    relevance: bool,
    min_relevance: float | None,
    fold: bool,
    index: str,
    all_: bool,
) -> dict[str, Any]:
    """The options of `search_images` that the commands share."""
    return {
        "k": MOST if all_ else k,
        "min_score": min_score,
        "filter": all_tags(tag),
        "lucene_query": lucene,
        "facets": facet or [],
        "with_relevance": relevance,
        "min_relevance": min_relevance,
        "fold_versions": fold,
        "index": index,
    }


async def show(terms: Any, wanted: Wanted, gateway: str, timeout: float) -> None:
    """Searches, and prints what was found, page by page if that is wanted.

    Raises:
        CliError: It failed.
    """
    read: list[queries_pb.QueryTerm] = terms()
    options = dict(wanted.options)
    asks = bool(wanted.page_size) and not wanted.as_json and notes.is_terminal
    if wanted.page_size:
        options["page_size"] = wanted.page_size
    async with connected(gateway, timeout) as client:
        first = await client.search_images(*read, **options)
        joined, page = first, first
        if not wanted.as_json:
            render.page(first, wanted.names, 1)
        shown = len(first.results)
        while token := page.next_page_token:
            if asks and not typer.confirm("More?", default=True, err=True):
                break
            page = await client.search_images(*read, page_token=token, **options)
            if wanted.as_json:
                joined.results.extend(page.results)
            else:
                render.page(page, wanted.names, shown + 1)
            shown += len(page.results)
    if wanted.as_json:
        joined.next_page_token = ""
        print_json(joined)
        return
    for number in first.truncated_terms:
        name = wanted.names[number]
        notes.print(f"{name[:40]}…: longer than the model reads; its beginning was used.")


def all_tags(tags: list[str] | None) -> Filter | None:
    """The condition that an image has all these labels; None: any image."""
    return reduce(and_, (field("tags") == tag for tag in tags)) if tags else None


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(search)
