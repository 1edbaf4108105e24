"""`imagesearch classify`, `identify` and `label-sets`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from imagesearch.gateway.v1 import classification_pb2 as pb
from rich.console import Console
from rich.table import Table

from imagesearch_cli.connection import connected
from imagesearch_cli.labels import (
    Label,
    LabelSet,
    LabelsFile,
    Language,
    Template,
    choice,
    shown,
)
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
from imagesearch_cli.terms import read_image, read_region

File = Annotated[Path | None, typer.Argument(help="Image.", exists=True, dir_okay=False)]
Url = Annotated[str, typer.Option(help="Address of an image, where the server allows that.")]
ImageId = Annotated[str, typer.Option("--id", help="Id of an indexed image.")]
Region = Annotated[
    str,
    typer.Option(
        help="Only this part of the image: LEFT,TOP,RIGHT%,BOTTOM% or LEFT,TOP,WIDTHxHEIGHT."
    ),
]
TopK = Annotated[int, typer.Option("-k", help="Most labels in the answer.")]


def classify(
    file: File = None,
    url: Url = "",
    image_id: ImageId = "",
    region: Region = "",
    label: Label = None,
    labels_file: LabelsFile = None,
    label_set: LabelSet = "",
    template: Template = None,
    k: TopK = 5,
    language: Language = "en",
    index: Index = "",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Say what an image shows: a FILE, --url or --id, among labels in any language.

    Exit status: 0 there was an answer, 1 the request was refused, 3 the system is away.
    """

    async def work() -> pb.ClassifyResponse:
        source = _source(file, url, image_id, region)
        labels = choice(label, labels_file, label_set, template)
        async with connected(gateway, timeout) as client:
            return await client.classify(**source, **labels, index=index, top_k=k)

    response = run(work())
    if as_json:
        print_json(response)
        return
    table = _table("probability", "similarity", "label")
    rows = [
        (each.probability, f"{each.similarity:.3f}", shown(each.name, each.display_names, language))
        for each in response.labels
    ]
    _add_rows(table, [*rows, (response.unknown_probability, "", "unknown: none of the labels")])


def identify(
    file: File = None,
    url: Url = "",
    image_id: ImageId = "",
    region: Region = "",
    label: Label = None,
    labels_file: LabelsFile = None,
    label_set: LabelSet = "",
    template: Template = None,
    label_field: Annotated[
        str, typer.Option(help="Where images' labels are: tags or attributes.KEY.")
    ] = "tags",
    neighbors: Annotated[int, typer.Option(help="Images that vote, 1 to 100.")] = 20,
    tag: Tags = None,
    k: TopK = 5,
    language: Language = "en",
    index: Index = "",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Say what an image shows, by labels and by what similar images of an index are labelled with.

    Exit status: 0 there was an answer, 1 the request was refused, 3 the system is away.
    """

    async def work() -> pb.IdentifyResponse:
        source = _source(file, url, image_id, region)
        labels = choice(label, labels_file, label_set, template, required=False)
        async with connected(gateway, timeout) as client:
            return await client.identify(
                **source,
                **labels,
                index=index,
                label_field=label_field,
                neighbor_count=neighbors,
                filter=all_tags(tag),
                top_k=k,
            )

    response = run(work())
    if as_json:
        print_json(response)
        return
    table = _table("probability", "by text", "votes", "label", "because of")
    paths = {
        each.image.image_id: each.image.relative_path or each.image.image_id[:12]
        for each in response.neighbors
    }
    rows = [
        (
            each.probability,
            f"{each.zero_shot_probability:.3f}",
            f"{each.vote_share:.3f}",
            shown(each.name, each.display_names, language),
            _some([paths.get(voter, voter[:12]) for voter in each.neighbor_image_ids]),
        )
        for each in response.labels
    ]
    _add_rows(table, [*rows, (response.unknown_probability, "", "", "unknown", "")])


def label_sets(
    name: Annotated[str, typer.Argument(help="Show the labels of this one.")] = "",
    language: Language = "zh",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 10.0,
    as_json: AsJson = False,
) -> None:
    """List the server's label sets, or the labels of one.

    With --json the labels of one are as --labels-file takes them.
    """

    async def work() -> pb.ListLabelSetsResponse | pb.GetLabelSetResponse:
        async with connected(gateway, timeout) as client:
            if name:
                return await client.get_label_set(name)
            return await client.list_label_sets()

    response = run(work())
    if isinstance(response, pb.GetLabelSetResponse):
        if as_json:
            print_json(response.labels)
            return
        table = _table("label", language, "texts")
        for label in response.labels.labels:
            translated = label.display_names.get(language, "")
            table.add_row(label.name, translated, _some(list(label.texts)))
    else:
        if as_json:
            print_json(response)
            return
        table = _table("name", "labels", "languages", "what it is for")
        for each in response.label_sets:
            languages = " ".join(each.languages)
            table.add_row(each.name, str(each.label_count), languages, each.description)
    Console().print(table, highlight=False)


def _source(file: Path | None, url: str, image_id: str, region: str) -> dict[str, Any]:
    if sum((file is not None, bool(url), bool(image_id))) != 1:
        raise typer.BadParameter("give exactly one of FILE, --url and --id")
    part = read_region(region) if region else None
    if file is not None:
        return {"image": read_image(file), "region": part}
    return {"url": url, "region": part} if url else {"image_id": image_id, "region": part}


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title)
    return table


def _add_rows(table: Table, rows: list[tuple[Any, ...]]) -> None:
    """Prints rows that begin with a probability, likeliest first."""
    for probability, *cells in sorted(rows, key=lambda row: -row[0]):
        table.add_row(f"{probability:.3f}", *cells)
    Console().print(table, highlight=False, markup=False)


def _some(items: list[str], most: int = 3) -> str:
    more = f", … {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(classify)
    app.command()(identify)
    app.command("label-sets")(label_sets)
