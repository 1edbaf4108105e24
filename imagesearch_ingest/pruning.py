"""Deletes from the index what has gone from the source, and nothing else."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from imagesearch.common.v1 import types_pb2 as types

from imagesearch_client.errors import NotFoundError
from imagesearch_ingest import digests
from imagesearch_ingest.folder import folder_of
from imagesearch_ingest.items import Source, shard_of, text_of
from imagesearch_ingest.journal import Journal

if TYPE_CHECKING:
    from imagesearch_client.async_client import AsyncClient

_TOGETHER = 500
_CALLS = 8

# An image of the journal's that no item of the same index holds any more.
_NOT_HELD = """
SELECT DISTINCT image FROM former WHERE target = ? AND source = ? AND NOT EXISTS (
    SELECT 1 FROM entries JOIN sources USING (source)
    WHERE entries.image = former.image AND sources.target = former.target
) AND image > ? ORDER BY image LIMIT ?
"""


class PruneRefusedError(Exception):
    """So much has gone that it looks like a mistake. The message says how much."""


@dataclass(frozen=True)
class Scope:
    """The part of a folder that was looked at.

    Attributes:
        folders: Paths, with a slash at the end, of folders seen with all below them; "" for all.
        shallow: Paths of folders of which only the files were seen.
    """

    folders: frozenset[str] = frozenset({""})
    shallow: frozenset[str] = frozenset()


class Pruner:
    """Finds what has gone, and deletes it.

    A document is deleted if no item of any source holds its image any more, if every place that
    it was seen in is one that this journal put there, and if this journal made it: it was told
    so, or the document is not older than the journal's first run over the source.

    Args:
        journal: A connection of its own.
        target: The index's number.
        source: The source's number.
    """

    def __init__(self, journal: Journal, target: int, source: int) -> None:
        self._db: sqlite3.Connection = journal.db
        self._began = journal.began(source)
        self._target = target
        self._source = source
        self._db.execute("CREATE TEMP TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("CREATE TEMP TABLE gone (key TEXT PRIMARY KEY) WITHOUT ROWID")

    def see(self, keys: Sequence[str]) -> None:
        """Notes what is there."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", ((key,) for key in keys))
        self._db.execute("COMMIT")

    def gone(self, where: Source, not_gone: Iterable[str], scope: Scope, limit: float) -> int:
        """Finds the items that are not there any more; gives how many.

        Args:
            where: The source; of one that is made of shards, those that were not looked at
                count only if they are not there.
            not_gone: Prefixes of keys that were not all looked at.
            scope: What was looked at.
            limit: Most that may have gone, as a share of all that the source has, 0 to 1.

        Raises:
            PruneRefusedError: More have gone, or nothing is left.
        """
        prefixes = tuple(text_of(prefix) for prefix in not_gone)
        (total,) = self._one("SELECT count(*) FROM entries WHERE source = ?", self._source)
        there: dict[str, bool] = {}
        count = 0
        for key in self._unseen(scope):
            if prefixes and key.startswith(prefixes):
                continue
            if where.shards and self._shard_is_there(where, key, there):
                continue
            self._db.execute("INSERT OR IGNORE INTO gone VALUES (?)", (key,))
            count += 1
        if count and count > limit * total:
            self._db.execute("DELETE FROM gone")
            raise PruneRefusedError(
                f"{count} of {total} images have gone from {where.name}, more than a share of "
                f"{limit:g}; nothing is deleted. If that is right, allow it with --prune-limit 1"
            )
        return count

    def superseded(self) -> int:
        """How many images files held before they were changed, and that nothing holds now."""
        rows = self._db.execute(_NOT_HELD, (self._target, self._source, b"", 1_000_000))
        return sum(1 for _ in rows)

    async def delete(
        self, client: "AsyncClient", index: str, progress: Callable[[int, int], None]
    ) -> None:
        """Deletes what nothing holds any more.

        Args:
            client: The gateway.
            index: The index's name.
            progress: Told of documents deleted, and kept for another's sake.

        Raises:
            ImageSearchError: The gateway is away; called again it goes on.
        """
        self._drop_gone()
        after = b""
        while True:
            images = [
                row[0]
                for row in self._db.execute(
                    _NOT_HELD, (self._target, self._source, after, _TOGETHER)
                )
            ]
            if not images:
                return
            after = images[-1]
            busy = asyncio.Semaphore(_CALLS)

            async def ours(image: bytes, busy: asyncio.Semaphore = busy) -> bool | None:
                async with busy:
                    return await self._ours(client, index, image)

            verdicts = await asyncio.gather(*map(ours, images))
            doomed = [i for i, verdict in zip(images, verdicts, strict=True) if verdict]
            if doomed:
                await client.delete_images([image.hex() for image in doomed], index=index)
            done = [i for i, verdict in zip(images, verdicts, strict=True) if verdict is not False]
            self._db.executemany(
                "DELETE FROM former WHERE target = ? AND image = ?",
                [(self._target, image) for image in done],
            )
            progress(len(doomed), verdicts.count(False))

    async def _ours(self, client: "AsyncClient", index: str, image: bytes) -> bool | None:
        """Whether a document is this journal's alone; None: there is none."""
        try:
            found = (await client.get_image(image.hex(), index=index)).image
        except NotFoundError:
            return None
        rows = self._db.execute(
            "SELECT place, made FROM former WHERE target = ? AND image = ?", (self._target, image)
        ).fetchall()
        places = {place for place, _ in rows}
        made = any(made for _, made in rows) or self._is_younger(found)
        return made and all(_place(source) in places for source in found.sources)

    def _is_younger(self, document: types.Document) -> bool:
        """It was made after this journal began: maybe by it, in a run that was killed."""
        return document.indexed_at.ToDatetime(tzinfo=UTC) >= self._began

    def _drop_gone(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(
            "INSERT INTO former SELECT ?, image, place, source, made FROM entries JOIN gone"
            " USING (key) WHERE source = ? AND image IS NOT NULL AND place IS NOT NULL"
            " ON CONFLICT DO UPDATE SET made = max(made, excluded.made)",
            (self._target, self._source),
        )
        self._db.execute(
            "DELETE FROM entries WHERE source = ? AND key IN (SELECT key FROM gone)",
            (self._source,),
        )
        self._db.execute("DELETE FROM gone")
        self._db.execute("COMMIT")

    def _unseen(self, scope: Scope) -> Iterator[str]:
        for folder in scope.folders:
            yield from self._below(text_of(folder))
        for folder in map(text_of, scope.shallow):
            yield from (key for key in self._below(folder) if folder_of(key) == folder)

    def _below(self, prefix: str) -> Iterator[str]:
        last = prefix + chr(0x10FFFF)
        rows = self._db.execute(
            "SELECT key FROM entries WHERE source = ? AND key >= ? AND key < ?"
            " AND key NOT IN (SELECT key FROM seen)",
            (self._source, prefix, last),
        )
        return (row[0] for row in rows)

    def _shard_is_there(self, where: Source, key: str, there: dict[str, bool]) -> bool:
        """Whether a shard that nothing of was seen is there: then it just was not looked at."""
        shard = shard_of(key)
        if shard not in there:
            (looked_at,) = self._one(
                "SELECT EXISTS (SELECT 1 FROM seen WHERE key >= ? AND key < ?)",
                f"{shard}!",
                f'{shard}"',
            )
            there[shard] = not looked_at and where.has(shard)
        return there[shard]

    def _one(self, query: str, *values: object) -> tuple[int, ...]:
        row: tuple[int, ...] = self._db.execute(query, values).fetchone()
        return row


def _place(source: types.Source) -> bytes:
    return digests.place(source.relative_path, source.url, source.page_url)
