"""A folder, with the folders in it."""

import os
import stat
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from imagesearch_ingest import sidecars
from imagesearch_ingest.formats import is_image, suffix, too_large
from imagesearch_ingest.ignoring import FILE, Ignores
from imagesearch_ingest.items import (
    Facts,
    Item,
    Listed,
    RefusedError,
    SourceError,
    Unlisted,
    Unsettled,
    Unusable,
    text_of,
)
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.paths import read_regular, read_within


class Folder:
    """Images below a folder, in the order of names; keys are their paths within it.

    Hidden files and folders are left out, and links to folders are not followed. A link to a file
    is followed only to files within the folder.

    Args:
        root: The folder.
        ignores: What is passed over.
        mapping: How JSON sidecars are read.
        settle_s: Files changed less long ago may still be being written; 0: all are taken.
    """

    shards = False

    def __init__(
        self, root: Path, ignores: Ignores, mapping: Mapping, settle_s: float = 0.0
    ) -> None:
        self.root = root.resolve()
        self.name = text_of(self.root.as_uri())
        self._ignores = ignores
        self._mapping = mapping
        self.settle_s = settle_s

    def items(self, known: Callable[[str, str], bool]) -> Iterator[Listed]:
        """Lists all images."""
        if not self.root.is_dir():
            raise SourceError(f"{self.root} is no folder")
        yield from self._walk("")

    def within(self, folders: Collection[str], shallow: Collection[str]) -> Iterator[Listed]:
        """Lists the images of some folders only.

        Args:
            folders: Paths within the source, looked at with all below them.
            shallow: Paths within the source of which only the files are looked at.
        """
        if not self.root.is_dir():
            raise SourceError(f"{self.root} is no folder")
        for path in sorted(shallow):
            yield from self._list(path)[0]
        for path in sorted(folders):
            yield from self._walk(path)

    def count(self) -> int | None:
        """Counts names of images; some may turn out to be none."""
        count = 0
        for _, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            count += sum(1 for name in files if name[0] != "." and is_image(name))
        return count

    def has(self, shard: str) -> bool:
        """There are no shards."""
        return False

    def _walk(self, start: str) -> Iterator[Listed]:
        waiting = [start]
        while waiting:
            listed, below = self._list(waiting.pop())
            yield from listed
            waiting.extend(reversed(below))

    def _list(self, folder: str) -> tuple[list[Listed], list[str]]:
        """Lists what is in one folder, and the paths of the folders in it.

        Args:
            folder: Its path within the source, with a slash at the end; "" for the source itself.
        """
        listed: list[Listed] = []
        below: list[str] = []
        try:
            ignores = self._ignores_of(folder)
            if folder and (ignores.has(folder) or (self.root / folder).is_symlink()):
                return listed, below
            with os.scandir(os.path.join(self.root, folder)) as scan:
                entries = {entry.name: entry for entry in scan if entry.name[0] != "."}
        except FileNotFoundError:
            return listed, below  # it has gone in the meantime
        except OSError as error:
            reason = f"cannot be listed: {error.strerror}"
            return [Unlisted(text_of(folder), reason)], below
        beside = {name for name in entries if suffix(name) in sidecars.SUFFIXES}
        for name in sorted(entries):
            entry = entries[name]
            path = folder + name
            if entry.is_dir(follow_symlinks=False):
                below.append(f"{path}/")
            elif is_image(name) and not (ignores and ignores.has(path)):
                listed.append(self._item(entry, path, entries, beside))
        return listed, below

    def _ignores_of(self, folder: str) -> Ignores:
        """The patterns that hold in a folder."""
        ignores = self._ignores
        parts = folder.split("/")[:-1]
        for depth in range(len(parts) + 1):
            above = "".join(f"{part}/" for part in parts[:depth])
            try:
                content = (self.root / above / FILE).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            ignores = ignores.below(above, content)
        return ignores

    def _item(
        self,
        entry: os.DirEntry[str],
        path: str,
        entries: dict[str, os.DirEntry[str]],
        beside: set[str],
    ) -> Listed:
        key = text_of(path)
        try:
            found = entry.stat()
        except OSError as error:
            return Unusable(key, "", f"cannot be read: {error.strerror}")
        stamp = f"{found.st_mtime_ns}:{found.st_size}"
        if not stat.S_ISREG(found.st_mode):
            return Unusable(key, stamp, "is no regular file")
        if why := too_large(found.st_size):
            return Unusable(key, stamp, why)
        latest = max(found.st_mtime, found.st_ctime)
        notes: list[str] = []
        for name in sidecars.names(entry.name) if beside else ():
            if name in beside:
                try:
                    note = entries[name].stat()
                except OSError:
                    continue
                notes.append(folder_of(path) + name)
                stamp += f":{note.st_mtime_ns}:{note.st_size}"
                latest = max(latest, note.st_mtime, note.st_ctime)
        if self.settle_s and 0 <= time.time() - latest < self.settle_s:
            return Unsettled(key)
        full = os.path.join(self.root, path)
        read = (
            partial(read_within, self.root, Path(full))
            if entry.is_symlink()
            else partial(read_regular, full)
        )
        return Item(key, stamp, found.st_size, read, partial(self._facts, key, notes))

    def _facts(self, key: str, notes: list[str]) -> Facts:
        facts = Facts()
        for note in notes:
            try:
                content = read_within(self.root, self.root / note)
            except RefusedError:
                continue
            facts = facts.over(sidecars.read(note, content, self._mapping))
        return Facts(relative_path=key).over(facts)


def folder_of(path: str) -> str:
    """The folder a path is in, with a slash at the end; "" for none."""
    return path[: path.rfind("/") + 1]


def find_images(root: Path) -> Iterator[Path]:
    """Gives the images of a folder that can be read, in the order in which they are indexed."""
    folder = Folder(root, Ignores(), Mapping())
    for listed in folder.items(lambda *_: False):
        if isinstance(listed, Item):
            yield folder.root / listed.key
