"""Runs a collector: progress while it works, Ctrl-C, the report at the end."""

import asyncio
import csv
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from imagesearch_cli.collect_options import Shown
from imagesearch_collect.collection import Collection
from imagesearch_collect.image_rules import ImageRules
from imagesearch_collect.json_lines import InUseError
from imagesearch_collect.manifest import Place
from imagesearch_collect.outcomes import BY_RULE, Reason, Tally
from imagesearch_collect.page_log import PageLog
from imagesearch_collect.site import SiteCrawl
from imagesearch_collect.site_job import SiteJob, SiteOptions
from imagesearch_collect.url_fetching import UrlsFetch, UrlsOptions
from imagesearch_collect.url_lists import Columns, ListError, read_list

MOST_SHOWN = 20
REFRESH_S = 0.25

_STOPPED = "shutdown"


class Run(Protocol):
    """What can be run to its end, or stopped before."""

    async def run(self) -> str:
        """Runs; gives why it ended."""

    async def stop(self) -> None:
        """Lets it end soon."""


class Refusals:
    """What was not collected: all of it into a CSV file, the first few to be shown."""

    def __init__(self, report: Path | None) -> None:
        self._file = report.open("w", encoding="utf-8", newline="") if report else None
        self._rows = csv.writer(self._file) if self._file else None
        self.first: list[tuple[str, Reason, str]] = []
        if self._rows:
            self._rows.writerow(("url", "page_url", "reason", "message"))

    def __call__(self, url: str, place: Place, reason: Reason, what: str) -> None:
        """Takes one."""
        if len(self.first) < MOST_SHOWN:
            self.first.append((url, reason, what))
        if self._rows:
            self._rows.writerow((url, place.page_url, reason.value, what))

    def close(self) -> None:
        """Ends the file."""
        if self._file:
            self._file.close()


def run_site(
    options: SiteOptions, rules: ImageRules, shown: Shown, *, retry_failed: bool, refresh: bool
) -> None:
    """Crawls a site and ends the command."""

    def begin(collection: Collection, folder: Path, stack: ExitStack) -> Run:
        scratch = stack.enter_context(TemporaryDirectory()) if shown.dry_run else folder
        log = stack.enter_context(PageLog(Path(scratch)))
        if len(log):
            typer.echo(f"Going on: {len(log)} pages were read before.", err=True)
        listed = (lambda found, _: _print_once(found.url)) if shown.dry_run else None
        return SiteCrawl(SiteJob(options, collection, log, listed))

    tally, end = _collect(begin, rules, shown, retry_failed=retry_failed, refresh=refresh)
    if end == "finished" and not tally.pages and not tally.found:
        raise typer.Exit(3)
    _exit(tally, end)


def run_urls(
    file: Path,
    columns: Columns,
    options: UrlsOptions,
    rules: ImageRules,
    shown: Shown,
    *,
    retry_failed: bool,
    refresh: bool,
) -> None:
    """Fetches a list of URLs and ends the command."""

    def begin(collection: Collection, folder: Path, stack: ExitStack) -> Run:
        listed = _print_once if shown.dry_run else None
        return UrlsFetch(read_list(file, columns), options, collection, listed)

    _exit(*_collect(begin, rules, shown, retry_failed=retry_failed, refresh=refresh))


def _collect(
    begin: Callable[[Collection, Path, ExitStack], Run],
    rules: ImageRules,
    shown: Shown,
    *,
    retry_failed: bool,
    refresh: bool,
) -> tuple[Tally, str]:
    logging.getLogger("scrapy").setLevel(logging.CRITICAL)  # the report says it all
    tally = Tally()
    refusals = Refusals(shown.report)
    with ExitStack() as stack:
        stack.callback(refusals.close)
        new = shown.dry_run and not shown.into.exists()
        folder = Path(stack.enter_context(TemporaryDirectory())) if new else shown.into
        try:
            collection = stack.enter_context(
                Collection(
                    folder,
                    rules,
                    tally,
                    retry_failed=retry_failed,
                    refresh=refresh,
                    dry_run=shown.dry_run,
                    refused=refusals,
                )
            )
            end = asyncio.run(_run(begin(collection, folder, stack), tally, shown))
        except (InUseError, ListError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from error
        except (KeyboardInterrupt, asyncio.CancelledError) as error:
            raise typer.Exit(130) from error
    if shown.as_json:
        json.dump(_as_json(tally, end), sys.stdout, indent=2)
        print()
    else:
        _show(tally, end, refusals, shown)
    return tally, end


async def _run(run: Run, tally: Tally, shown: Shown) -> str:
    running = asyncio.ensure_future(run.run())
    with _interruptible(run.stop, running), _progress(tally, shown) as update:
        while not running.done():
            update()
            await asyncio.wait({running}, timeout=REFRESH_S)
        update()
    return running.result()


@contextmanager
def _interruptible(
    stop: Callable[[], Awaitable[None]], running: "asyncio.Future[str]"
) -> Iterator[None]:
    """The first Ctrl-C lets what is in flight come; the second ends all at once."""
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Future[None]] = []

    def interrupted() -> None:
        if stopping:
            running.cancel()
            return
        typer.echo("Finishing what is in flight; Ctrl-C again ends at once.", err=True)
        stopping.append(asyncio.ensure_future(stop()))

    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, interrupted)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


@contextmanager
def _progress(tally: Tally, shown: Shown) -> Iterator[Callable[[], None]]:
    notes = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=notes
    )
    quiet = shown.as_json or shown.dry_run or not notes.is_terminal
    with nullcontext() if quiet else bar:
        task = bar.add_task("", total=None)

        def update() -> None:
            speed = f"{tally.bytes / 1e6:.1f} MB"
            what = f"{tally.stored} new, {tally.duplicates} duplicates, {tally.known} known, "
            pages = f"{tally.pages} pages, " if tally.pages else ""
            refused = f"{tally.refused.total()} refused, {speed}"
            bar.update(
                task,
                description=pages + what + refused,
                completed=tally.done,
                total=tally.found or None,
            )

        yield update


def _exit(tally: Tally, end: str) -> None:
    if end == _STOPPED:
        raise typer.Exit(130)
    if tally.failed:
        raise typer.Exit(1)


def _as_json(tally: Tally, end: str) -> dict[str, Any]:
    return {
        "end": end,
        "pages": tally.pages,
        "stored": tally.stored,
        "duplicates": tally.duplicates,
        "known": tally.known,
        "bytes": tally.bytes,
        "refused": {reason.value: count for reason, count in sorted(tally.refused.items())},
        "pages_refused": {
            reason.value: count for reason, count in sorted(tally.pages_refused.items())
        },
        "failed": tally.failed,
    }


def _show(tally: Tally, end: str, refusals: Refusals, shown: Shown) -> None:
    console = Console(stderr=shown.dry_run)
    if not shown.dry_run:
        pages = f"{tally.pages} pages read. " if tally.pages else ""
        console.print(
            f"{pages}{tally.stored} images collected ({tally.bytes / 1e6:.1f} MB fetched), "
            f"{tally.duplicates} under another URL, {tally.known} known before.",
            highlight=False,
        )
    if end not in ("finished", _STOPPED):
        console.print(f"Ended at {end}; run it again to go on.", highlight=False)
    both = tally.refused + tally.pages_refused
    if not both:
        return
    if tally.refused[Reason.OFF_SITE]:
        console.print("Images of other hosts are taken with --image-hosts any, or --domain.")
    table = Table(title=f"{both.total()} not collected", title_justify="left", box=None)
    for title in ("reason", "", "URL"):
        table.add_column(title, overflow="fold")
    for url, reason, what in refusals.first:
        table.add_row(reason.value + (" (by rule)" if reason in BY_RULE else ""), what, url)
    if (rest := both.total() - len(refusals.first)) > 0:
        table.add_row("…", f"and {rest} more; --report FILE.csv lists all", "")
    console.print(table, highlight=False)


_printed: set[str] = set()


def _print_once(url: str) -> None:
    if url not in _printed:
        _printed.add(url)
        print(url, flush=not os.isatty(1))
