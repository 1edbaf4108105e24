"""A whole run over one source: index, prune, and go on watching."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from imagesearch_ingest.folder import Folder
from imagesearch_ingest.items import Listed, Source, SourceError
from imagesearch_ingest.journal import Journal
from imagesearch_ingest.pipeline import Pipeline
from imagesearch_ingest.pruning import Pruner, Scope
from imagesearch_ingest.report import Report, Table
from imagesearch_ingest.settings import Settings
from imagesearch_ingest.target import Target
from imagesearch_ingest.watching import Watcher

if TYPE_CHECKING:
    from imagesearch_client.async_client import AsyncClient

SETTLE_S = 1.0
"""Watched files are left alone until they have not changed for so long."""

_WHOLE = Scope()


@dataclass(frozen=True)
class Pruning:
    """What may be deleted.

    Attributes:
        limit: Most items that may have gone, as a share of all.
        agree: Asked before anything is deleted, with the number of items that have gone, and of
            images that changed files held before; None: nobody is asked.
    """

    limit: float = 0.5
    agree: Callable[[int, int], bool] | None = None


class Run:
    """One run over one source.

    Args:
        client: The gateway.
        source: The source.
        index: Name of the index; "" for the default.
        journal: What is known.
        settings: How it goes.
        report: Is kept up to date while it runs.
        table: Gets every outcome.
        pruning: What may be deleted; None: nothing.
    """

    def __init__(
        self,
        client: "AsyncClient",
        source: Source,
        index: str,
        journal: Journal,
        settings: Settings,
        report: Report,
        table: Table,
        pruning: Pruning | None = None,
    ) -> None:
        self._client = client
        self._source = source
        self._target = Target(client, index, journal)
        self._journal = journal
        self._settings = settings
        self._report = report
        self._table = table
        self._pruning = pruning
        self._pipeline: Pipeline | None = None
        self._watcher: Watcher | None = None

    def stop(self) -> None:
        """Takes nothing more in; what was sent is waited for. On the event loop."""
        self._report.interrupted = True
        if self._watcher is not None:
            self._watcher.stop()
        if self._pipeline is not None:
            self._pipeline.stop()

    async def once(self) -> None:
        """Indexes the source, and prunes if that is wanted.

        Raises:
            ImageSearchError: The system stayed away, or refused the stream as a whole.
            SourceError: The source cannot be read.
            PruneRefusedError: So much has gone that it looks like a mistake.
        """
        await self._target.resolve()
        if self._settings.count:
            counting = asyncio.create_task(asyncio.to_thread(self._count))
        try:
            await self._part(_WHOLE)
        finally:
            if self._settings.count:
                counting.cancel()
        if not self._report.interrupted:
            await self._target.check()

    async def watch(self) -> None:
        """Indexes a folder and keeps the index in step with it until `stop` is called.

        Raises:
            ImageSearchError, SourceError, PruneRefusedError: As `once`.
        """
        if not isinstance(self._source, Folder):
            raise SourceError("only folders of this machine can be watched")
        self._watcher = watcher = Watcher(self._source.root)
        try:
            await asyncio.sleep(0)  # it listens before the first look
            await self._target.resolve()
            await self._settled(_WHOLE)
            while not self._report.interrupted:
                waits = self._report.unsettled > 0
                scope = await watcher.next(self._source.settle_s if waits else None)
                if scope is None:
                    break
                await self._settled(scope)
        finally:
            await watcher.close()

    async def _settled(self, scope: Scope) -> None:
        """Looks at a part, and asks for it again if something in it is still being written."""
        self._report.unsettled = 0
        await self._part(scope)
        if self._report.unsettled and self._watcher is not None:
            self._watcher.again(scope)

    async def _part(self, scope: Scope) -> None:
        self._pipeline = pipeline = Pipeline(
            self._client,
            self._source,
            self._target,
            self._journal,
            self._settings,
            self._report,
            self._table,
        )
        place = self._target.place(self._source.name)
        if self._report.interrupted:
            return
        source = self._source
        part: Callable[[], Iterator[Listed]] | None = None
        if scope is not _WHOLE and isinstance(source, Folder):
            part = partial(source.within, scope.folders, scope.shallow)
        if self._pruning is None or place is None:
            await pipeline.run(part)
            return
        with closing(self._journal.another()) as journal:
            pruner = Pruner(journal, *place)
            await pipeline.run(part, pruner.see)
            if self._report.interrupted:
                return
            if not self._report.listed and scope is _WHOLE:
                raise SourceError(f"{self._source.name} is empty; nothing is deleted")
            await self._prune(pruner, pipeline.not_gone, scope, self._pruning)

    async def _prune(
        self, pruner: Pruner, not_gone: list[str], scope: Scope, pruning: Pruning
    ) -> None:
        gone = await asyncio.to_thread(pruner.gone, self._source, not_gone, scope, pruning.limit)
        superseded = await asyncio.to_thread(pruner.superseded)
        if not gone and not superseded:
            return
        if self._settings.dry_run:
            self._report.pruned += gone + superseded
            return
        # In a thread: who is asked may press Ctrl-C instead.
        if pruning.agree and not await asyncio.to_thread(pruning.agree, gone, superseded):
            return

        def progress(deleted: int, kept: int) -> None:
            self._report.pruned += deleted
            self._report.kept += kept

        await pruner.delete(self._client, self._target.index, progress)

    def _count(self) -> None:
        with suppress(OSError, SourceError):  # it is said when the source is listed
            self._report.total = self._source.count()
