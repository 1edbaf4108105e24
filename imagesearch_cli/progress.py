"""The progress of an ingest, as it goes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imagesearch_cli.options import notes
from imagesearch_ingest.report import Report

_EVERY_S = 0.25
_OVER_S = 5.0


class Rates:
    """Images and bytes a second, over the last seconds.

    Args:
        report: What they are of.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._past: list[tuple[float, int, int, int]] = []

    def text(self, now: float) -> str:
        """What is going on, in a line."""
        report = self._report
        new = report.stored - report.known
        self._past.append((now, report.listed, new, report.sent_bytes))
        while len(self._past) > 2 and now - self._past[0][0] > _OVER_S:
            self._past.pop(0)
        then, listed, stored, sent = self._past[0]
        passed = max(now - then, 1e-6)
        parts = [
            f"{(report.listed - listed) / passed:,.0f} files/s listed",
            f"{(new - stored) / passed:,.1f} images/s embedded and indexed",
            f"{(report.sent_bytes - sent) / passed / 1e6:.1f} MB/s",
        ]
        if report.refused_count:
            parts.append(f"[red]{report.refused_count:,} refused[/red]")
        return " · ".join(parts)


@asynccontextmanager
async def shown(report: Report, *, quiet: bool) -> AsyncIterator[None]:
    """Shows a report as it grows, on a terminal."""
    if quiet or not notes.is_terminal:
        yield
        return
    rates = Rates(report)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rates]}"),
        console=notes,
    )

    async def refresh() -> None:
        task = bar.add_task("Indexing", total=None, rates="")
        while True:
            text = rates.text(time.monotonic())
            bar.update(task, total=report.total, completed=report.done, rates=text)
            await asyncio.sleep(_EVERY_S)

    with bar:
        refreshing = asyncio.create_task(refresh())
        try:
            yield
        finally:
            refreshing.cancel()
