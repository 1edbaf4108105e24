"""Options that `imagesearch collect site` and `imagesearch collect urls` share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from fetch_kit.guard import Guard
    from imagesearch_collect.image_rules import ImageRules

Into = Annotated[
    Path, typer.Option(help="Folder to collect into; made if it is missing.", file_okay=False)
]
MinWidth = Annotated[int, typer.Option(help="Least width in pixels.", min=0)]
MinHeight = Annotated[int, typer.Option(help="Least height in pixels.", min=0)]
MinBytes = Annotated[int, typer.Option(help="Least size of a file in bytes.", min=0)]
MaxBytes = Annotated[int, typer.Option(help="Largest size of a file in bytes.", min=1)]
Format = Annotated[
    list[str] | None,
    typer.Option("--format", help="Format to keep, e.g. jpeg. May be repeated. Default: all."),
]
Concurrency = Annotated[int, typer.Option(help="Most requests at a time.", min=1, max=256)]
PerHost = Annotated[int, typer.Option(help="Most requests to one host at a time.", min=1)]
Delay = Annotated[float, typer.Option(help="Least seconds between requests to a host.", min=0)]
Timeout = Annotated[float, typer.Option(help="Most seconds for one request.", min=0.1)]
Retries = Annotated[
    int, typer.Option(help="How often what failed in passing is tried again.", min=0)
]
Contact = Annotated[
    str,
    typer.Option(help="Web page or e-mail address that the robot names as yours to every site."),
]
AllowNetwork = Annotated[
    list[str] | None,
    typer.Option(
        help="Network that may be connected to although it is not public, e.g. 10.0.0.0/8. "
        "May be repeated."
    ),
]
Port = Annotated[
    list[int] | None,
    typer.Option(help="Port that URLs may name besides 80 and 443. May be repeated."),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try again what an earlier run gave up for good.")
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Ask again for images that are there: have they changed?")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Fetch no image; print the URLs that would be fetched.")
]
Report = Annotated[
    Path | None,
    typer.Option(help="CSV file for what was not collected, with reasons.", dir_okay=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


class Reach(StrEnum):
    """How far pages may be from where a crawl began."""

    SITE = "site"
    HOST = "host"
    ANY = "any"


class ImageHosts(StrEnum):
    """Where images may come from."""

    SAME = "same"
    ANY = "any"


@dataclass(frozen=True)
class Shown:
    """Where results go.

    Attributes:
        into: The collection.
        dry_run: Nothing is fetched or written.
        report: CSV file of what was not collected.
        as_json: The report is printed as JSON.
    """

    into: Path
    dry_run: bool
    report: Path | None
    as_json: bool


@contextmanager
def needing_collect() -> Iterator[None]:
    """Says how to install what is missing."""
    try:
        yield
    except ImportError as error:
        typer.echo(
            f"error: {error.name} is missing; install it with: pip install 'imagesearch[collect]'",
            err=True,
        )
        raise typer.Exit(1) from error


def guard(ports: set[int], networks: list[str] | None) -> "Guard":
    """The rules of what may be connected to."""
    from fetch_kit import addresses
    from fetch_kit.guard import Guard

    try:
        return Guard(frozenset({80, 443, *ports}), addresses.networks(networks or ()))
    except ValueError as error:
        raise typer.BadParameter(f"--allow-network: {error}") from error


def rules(
    min_width: int, min_height: int, min_bytes: int, max_bytes: int, formats: list[str] | None
) -> "ImageRules":
    """The rules of which images are kept."""
    from image_kit.decoding import FORMATS
    from imagesearch_collect.image_rules import ImageRules

    names = {"JPG": "JPEG", "TIF": "TIFF", "HEIC": "HEIF"}
    wanted = [names.get(each.upper(), each.upper()) for each in formats or ()]
    for name in wanted:
        if name not in FORMATS:
            raise typer.BadParameter(f"--format: {name} is none of {', '.join(FORMATS)}")
    return ImageRules(min_width, min_height, min_bytes, max_bytes, frozenset(wanted or FORMATS))


def user_agent(contact: str) -> str:
    """How the robot introduces itself."""
    whose = f" (+{contact})" if contact.isascii() and contact.isprintable() and contact else ""
    return f"imagesearch/{version('imagesearch')}{whose}"


def port_of(url: str) -> int:
    """The port that a URL names, or that of its scheme."""
    try:
        parts = urlsplit(url)
        return parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError as error:
        raise typer.BadParameter(f"{url} is not a URL") from error
