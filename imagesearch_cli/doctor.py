"""`imagesearch doctor`."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from imagesearch_cli import encryption
from imagesearch_cli.credentials import api_key
from imagesearch_cli.options import ADDRESS, AsJson, Gateway, Index, print_json, run
from imagesearch_client import CertificateError
from imagesearch_doctor.findings import Checked, Level, count
from imagesearch_doctor.targets import Access, Options

_MARKS = {
    Level.OK: "[green]ok[/green]",
    Level.WARNING: "[yellow]warning[/yellow]",
    Level.PROBLEM: "[red]problem[/red]",
}

Embedder = Annotated[
    str,
    typer.Option(envvar="IMAGESEARCH_EMBEDDER", help="Address of embedder_service, to ask it too."),
]
Search = Annotated[
    str,
    typer.Option(envvar="IMAGESEARCH_SEARCH", help="Address of search_service, to ask it too."),
]


def doctor(
    gateway: Gateway = ADDRESS,
    embedder: Embedder = "",
    search: Search = "",
    elasticsearch: Annotated[
        str, typer.Option(metavar="URL", help="Elasticsearch, to ask it too: http[s]://HOST:PORT.")
    ] = "",
    metrics: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Must serve metrics: HOST:PORT or URL. May be repeated."),
    ] = None,
    index: Index = "",
    write: Annotated[
        bool, typer.Option("--write", help="Store a picture, find it, delete it; try the store.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for one answer; three times that for all.", min=1)
    ] = 10.0,
    brief: Annotated[bool, typer.Option("--brief", help="Only warnings and problems.")] = False,
    as_json: AsJson = False,
) -> None:
    """Examine a system, and say what is wrong with it and what to do.

    Nothing is changed without --write. A key needs all three scopes.

    Exit status: 0 there is no problem, 1 there is one, 2 the command is wrong.
    """
    # Takes half a second, for which no other command need wait.
    from imagesearch_doctor.examining import examine

    told = Options(
        gateway=gateway,
        embedder=embedder,
        search=search,
        elasticsearch=elasticsearch,
        metrics=tuple(metrics or ()),
        index=index,
        write=write,
        access=Access(api_key=api_key(), tls=encryption.chosen()),
        timeout_s=timeout,
    )
    try:
        checked = run(examine(told))
    except CertificateError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        print_json(_as_json(checked))
    else:
        _show(checked, brief)
    if count(checked, Level.PROBLEM):
        raise typer.Exit(1)


def _as_json(checked: Sequence[Checked]) -> dict[str, object]:
    return {
        "problems": count(checked, Level.PROBLEM),
        "warnings": count(checked, Level.WARNING),
        "findings": [
            {
                "check": each.name,
                "level": finding.level.value,
                "subject": finding.subject,
                "what": finding.what,
                "advice": finding.advice,
            }
            for each in checked
            for finding in each.findings
        ],
    }


def _show(checked: Sequence[Checked], brief: bool) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in checked:
        for finding in each.findings:
            if brief and finding.level is Level.OK:
                continue
            text = escape(finding.what)
            if finding.advice:
                text += f"\n[bold]→[/bold] {escape(finding.advice)}"
            table.add_row(_MARKS[finding.level], escape(finding.subject), text)
    console = Console()
    if table.row_count:
        console.print(table, highlight=False)
    problems, warnings = count(checked, Level.PROBLEM), count(checked, Level.WARNING)
    console.print(f"{problems} problem(s), {warnings} warning(s)", highlight=False)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(doctor)
