"""What was acknowledged, in a SQLite file: so that nothing is sent twice."""

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from imagesearch_ingest.items import SHARD_MARK, SourceError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS targets (
    target INTEGER PRIMARY KEY, name TEXT NOT NULL, space TEXT NOT NULL,
    revision INTEGER NOT NULL, created_ns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sources (
    source INTEGER PRIMARY KEY, target INTEGER NOT NULL, name TEXT NOT NULL,
    began TEXT NOT NULL, UNIQUE (target, name)
);
CREATE TABLE IF NOT EXISTS entries (
    source INTEGER NOT NULL, key TEXT NOT NULL, stamp TEXT NOT NULL,
    image BLOB, said BLOB, place BLOB, made INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_image ON entries (image) WHERE image IS NOT NULL;
CREATE TABLE IF NOT EXISTS former (
    target INTEGER NOT NULL, image BLOB NOT NULL, place BLOB NOT NULL,
    source INTEGER NOT NULL, made INTEGER NOT NULL,
    PRIMARY KEY (target, image, place, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards (
    source INTEGER NOT NULL, shard TEXT NOT NULL, stamp TEXT NOT NULL, refused INTEGER NOT NULL,
    PRIMARY KEY (source, shard)
) WITHOUT ROWID;
"""

_VERSION = 1
_BUSY_S = 30.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one item.

    Attributes:
        key: Its name within the source.
        stamp: As it was when this became known.
        image: SHA-256 of its bytes; None: it was refused.
        said: Digest of what was said of it; None: it was refused.
        place: Digest of where it was said to be; see `place_of`.
        made: Storing it made the document.
        reason: Why it was refused; "": it was not.
    """

    key: str
    stamp: str
    image: bytes | None
    said: bytes | None
    place: bytes | None
    made: bool
    reason: str


@dataclass(frozen=True)
class Identity:
    """Which index it is that has a name.

    Attributes:
        name: Its name.
        space: What its vectors may be compared with.
        revision: Number of its live revision.
        created_ns: When that was made, in ns since 1970.
    """

    name: str
    space: str
    revision: int
    created_ns: int

    def follows(self, known: "Identity") -> bool:
        """Whether this can be the same index, promoted or rolled back, and not one made anew.

        An index that was deleted and made again begins with revision 1 and is younger.
        """
        same = self.created_ns <= known.created_ns or self.revision > known.revision
        return self.name == known.name and same


class Journal:
    """A connection to the journal; a thread has its own.

    Args:
        file: The journal; it is made if there is none.

    Raises:
        SourceError: It cannot be opened, or a newer version has written it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA temp_store = FILE")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise SourceError(f"the journal {file} was written by a newer version")
            if version < _VERSION:
                self._db.executescript(_SCHEMA)
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise SourceError(f"the journal {file} cannot be opened: {error}") from error

    def close(self) -> None:
        """Closes the connection."""
        self._db.close()

    def another(self) -> "Journal":
        """Another connection, for another thread."""
        return Journal(self.file)

    def target(self, now: Identity) -> int:
        """Finds an index, or notes it as a new one; keeps its identity up to date."""
        with closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            rows = cursor.execute(
                "SELECT target, name, space, revision, created_ns FROM targets WHERE name = ?",
                (now.name,),
            ).fetchall()
            for number, *known in reversed(rows):
                before = Identity(*known)
                if now.follows(before):
                    if (now.revision, now.created_ns) > (before.revision, before.created_ns):
                        cursor.execute(
                            "UPDATE targets SET space = ?, revision = ?, created_ns = ?"
                            " WHERE target = ?",
                            (now.space, now.revision, now.created_ns, number),
                        )
                    cursor.execute("COMMIT")
                    return int(number)
            cursor.execute(
                "INSERT INTO targets (name, space, revision, created_ns) VALUES (?, ?, ?, ?)",
                (now.name, now.space, now.revision, now.created_ns),
            )
            made = cursor.lastrowid
            cursor.execute("COMMIT")
            return int(made or 0)

    def source(self, target: int, name: str) -> int:
        """Finds a source of an index, or notes it as a new one."""
        self._db.execute(
            "INSERT OR IGNORE INTO sources (target, name, began) VALUES (?, ?, ?)",
            (target, name, datetime.now(UTC).isoformat()),
        )
        (number,) = self._db.execute(
            "SELECT source FROM sources WHERE target = ? AND name = ?", (target, name)
        ).fetchone()
        return int(number)

    def began(self, source: int) -> datetime:
        """When something was first sent from a source."""
        (began,) = self._db.execute(
            "SELECT began FROM sources WHERE source = ?", (source,)
        ).fetchone()
        return datetime.fromisoformat(began)

    def entries(self, source: int, keys: Sequence[str]) -> dict[str, Entry]:
        """Reads what is known of items, by key."""
        # CROSS JOIN: the wanted keys lead, whatever the planner thinks of their number.
        rows = self._db.execute(
            "SELECT e.key, stamp, image, said, place, made, reason FROM json_each(?) AS wanted"
            " CROSS JOIN entries AS e ON e.source = ? AND e.key = wanted.value",
            (json.dumps(keys), source),
        )
        return {
            key: Entry(key, stamp, image, said, place, bool(made), reason)
            for key, stamp, image, said, place, made, reason in rows
        }

    def write(self, target: int, source: int, entries: Iterable[Entry]) -> None:
        """Writes what has become of items; returns when it is on disk."""
        rows = [
            (source, e.key, e.stamp, e.image, e.said, e.place, int(e.made), e.reason)
            for e in entries
        ]
        with closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            # What an item held before is not forgotten: its document may have to go.
            cursor.executemany(
                "INSERT INTO former SELECT ?, image, place, source, made FROM entries"
                " WHERE source = ? AND key = ? AND image IS NOT NULL AND place IS NOT NULL"
                " AND (image IS NOT ? OR place IS NOT ?)"
                " ON CONFLICT DO UPDATE SET made = max(made, excluded.made)",
                [(target, source, row[1], row[3], row[5]) for row in rows],
            )
            cursor.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " stamp = excluded.stamp, said = excluded.said, place = excluded.place,"
                " made = max(excluded.made, iif(image IS excluded.image, made, 0)),"
                " image = excluded.image, reason = excluded.reason",
                rows,
            )
            cursor.execute("COMMIT")

    def shard_done(self, source: int, shard: str, stamp: str, with_refused: bool) -> bool:
        """Whether all of a shard is done.

        Args:
            source: Its source.
            shard: Its name.
            stamp: As it is now.
            with_refused: One that has items which were refused counts too.
        """
        row = self._db.execute(
            "SELECT stamp, refused FROM shards WHERE source = ? AND shard = ?", (source, shard)
        ).fetchone()
        return row is not None and row[0] == stamp and (with_refused or row[1] == 0)

    def end_shard(self, source: int, shard: str, stamp: str) -> None:
        """Notes that all of a shard is done."""
        first, last = _bounds(shard)
        self._db.execute(
            "INSERT OR REPLACE INTO shards VALUES (?, ?, ?, (SELECT count(*) FROM entries"
            " WHERE source = ? AND key >= ? AND key < ? AND reason != ''))",
            (source, shard, stamp, source, first, last),
        )

    def shard_counts(self, source: int, shard: str) -> tuple[int, int]:
        """How many items of a shard are stored, and how many were refused."""
        first, last = _bounds(shard)
        row = self._db.execute(
            "SELECT count(*) FILTER (WHERE reason = ''), count(*) FILTER (WHERE reason != '')"
            " FROM entries WHERE source = ? AND key >= ? AND key < ?",
            (source, first, last),
        ).fetchone()
        return int(row[0]), int(row[1])

    def forget(self, target: int) -> None:
        """Forgets all of an index that is no more."""
        with closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            of_target = "(SELECT source FROM sources WHERE target = ?)"
            for table in ("entries", "shards"):
                cursor.execute(f"DELETE FROM {table} WHERE source IN {of_target}", (target,))
            for table in ("former", "sources", "targets"):
                cursor.execute(f"DELETE FROM {table} WHERE target = ?", (target,))
            cursor.execute("COMMIT")

    @property
    def db(self) -> sqlite3.Connection:
        """The connection itself, for `vanished`."""
        return self._db


def _bounds(shard: str) -> tuple[str, str]:
    """The least key in a shard, and the least one after all of it."""
    return shard + SHARD_MARK, shard + chr(ord(SHARD_MARK) + 1)


def default_file() -> Path:
    """Where the journal is if nothing else is said."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "imagesearch" / "journal.sqlite"
