"""`imagesearch export` and `imagesearch import`."""

from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from imagesearch_cli import encryption
from imagesearch_cli.connection import CliError, explain, unencrypted
from imagesearch_cli.credentials import api_key
from imagesearch_cli.options import AsJson, Index, notes, print_json, run
from imagesearch_client import CertificateError, ImageSearchError, UnavailableError
from imagesearch_ingest.items import SourceError
from imagesearch_ingest.journal import Journal, default_file
from imagesearch_ingest.search_client import Upserted, search_client

T = TypeVar("T")

ADDRESS = "127.0.0.1:50052"

Search = Annotated[
    str,
    typer.Option(
        envvar="IMAGESEARCH_SEARCH", help="Address of search_service, which only operators reach."
    ),
]


def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write parquet files to.")],
    index: Index = "",
    search: Search = ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Write an index as parquet files: every field, and the vectors.

    Originals and thumbnails are in the image store, and not in it. Broken off, it goes on
    where it was.
    """
    from imagesearch_ingest import transfer  # pyarrow, which no other command need wait for

    def progress(written: int, total: int) -> None:
        notes.print(f"{written} of {total} documents")

    async def work() -> int:
        async with search_client(search, api_key(), encryption.chosen()) as client:
            return await transfer.export(client, index, folder, progress)

    count = _run(work, search)
    if as_json:
        print_json({"documents": count})
    else:
        print(f"{count} documents in {folder}")


def import_(
    folder: Annotated[
        Path, typer.Argument(help="Folder that `imagesearch export` wrote, or a file of it.")
    ],
    index: Annotated[str, typer.Option(help="Name of the index. Default: as it was.")] = "",
    search: Search = ADDRESS,
    journal_file: Annotated[
        Path | None,
        typer.Option("--journal", envvar="IMAGESEARCH_JOURNAL", help="As of `imagesearch index`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store what `imagesearch export` wrote; the index is made if there is none.

    An index of another space is refused. Broken off, it goes on with the file that it was at.
    """
    from imagesearch_ingest import transfer

    files = sorted(folder.glob("part-*.parquet")) if folder.is_dir() else [folder]
    counts: Counter[str] = Counter()
    refused: list[tuple[str, str]] = []

    def progress(upserted: Upserted) -> None:
        for outcome, count in upserted.outcomes.items():
            counts[("", "created", "merged", "unchanged")[outcome]] += count
        refused.extend(upserted.refused)

    async def work() -> None:
        with closing(Journal(journal_file or default_file())) as journal:
            async with search_client(search, api_key(), encryption.chosen()) as client:
                await transfer.import_(client, files, index, journal, progress)

    _run(work, search)
    if as_json:
        listed = [{"image_id": image_id, "reason": reason} for image_id, reason in refused]
        print_json({**counts, "refused": listed})
    else:
        print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing")
        for image_id, reason in refused:
            notes.print(f"refused: {image_id}: {reason}")
    if refused:
        raise typer.Exit(1)


def _run(work: Callable[[], Coroutine[Any, Any, T]], address: str) -> T:
    async def explained() -> T:
        try:
            return await work()
        except ImageSearchError as error:
            if isinstance(error, UnavailableError) and not error.reason:
                why = unencrypted(error)
                what = f"No search_service answers at {address}{': ' if why else ''}{why}."
                raise CliError(what, exit_code=3) from error
            raise explain(error, address) from error
        except (SourceError, CertificateError) as error:
            raise CliError(str(error)) from error

    return run(explained())


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(export)
    app.command("import")(import_)
