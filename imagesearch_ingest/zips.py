"""Zip archives."""

import stat
import threading
from collections.abc import Iterator
from functools import partial

from imagesearch_ingest import sidecars, zip_directory
from imagesearch_ingest.formats import (
    MAX_IMAGE_BYTES,
    is_archive,
    is_image,
    looks_like_image,
    too_large,
)
from imagesearch_ingest.items import Facts, Item, Listed, RefusedError, Unusable, text_of
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.paths import why_not
from imagesearch_ingest.shards import Shard
from imagesearch_ingest.zip_directory import ZipEntry

_MOST_UNPACKED = 100
_ALWAYS_UNPACKED_BYTES = 1 << 30
_MOST_SIDECARS = 1_000_000
_HEAD = 16


class Zips:
    """Reads zip archives. Members have sidecars as files have: `photo.jpg.json`, `photo.json`, ….

    Args:
        mapping: How JSON members are read.
    """

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping

    def members(self, shard: Shard) -> Iterator[Listed]:
        """Lists the images, in the order of the archive's directory."""
        notes = self._sidecars(shard)
        allowance = _Allowance(shard.size)
        for entry in zip_directory.entries(shard):
            if is_image(entry.name) or is_archive(entry.name):
                yield self._listed(shard, entry, notes, allowance)

    def count(self, shard: Shard) -> int | None:
        """Counts entries; some may be no images."""
        return sum(1 for entry in zip_directory.entries(shard) if is_image(entry.name))

    def _sidecars(self, shard: Shard) -> dict[str, ZipEntry]:
        found: dict[str, ZipEntry] = {}
        for entry in zip_directory.entries(shard):
            usable = entry.size <= sidecars.MAX_BYTES and not entry.encrypted
            if entry.name.endswith(sidecars.SUFFIXES) and usable:
                found[entry.name] = entry
                if len(found) > _MOST_SIDECARS:
                    raise ValueError(f"it has more than {_MOST_SIDECARS} sidecars")
        return found

    def _listed(
        self,
        shard: Shard,
        entry: ZipEntry,
        sidecar: dict[str, ZipEntry],
        allowance: "_Allowance",
    ) -> Listed:
        name = text_of(entry.name)
        stamp = f"{entry.crc:08x}:{entry.size}"
        if why := why_not(name):
            return Unusable(name, stamp, why)
        if stat.S_ISLNK(entry.mode):
            return Unusable(name, stamp, "is a link; archives must hold the files themselves")
        if stat.S_IFMT(entry.mode) and not stat.S_ISREG(entry.mode):
            return Unusable(name, stamp, "is no regular file")
        if is_archive(name):
            return Unusable(name, stamp, "is an archive within an archive; unpack it first")
        if entry.encrypted:
            return Unusable(name, stamp, "is encrypted")
        if why := too_large(entry.size):
            return Unusable(name, stamp, why)
        names = sidecars.names(entry.name) if sidecar else ()
        notes = [sidecar[each] for each in names if each in sidecar]
        stamp += "".join(f":{note.crc:08x}:{note.size}" for note in notes)
        return Item(
            name,
            stamp,
            entry.size,
            partial(_image, shard, entry, allowance),
            partial(self._facts, shard, name, notes),
        )

    def _facts(self, shard: Shard, name: str, notes: list[ZipEntry]) -> Facts:
        facts = Facts()
        for note in notes:
            try:
                content = zip_directory.read(shard, note, sidecars.MAX_BYTES)
            except RefusedError:
                continue
            facts = facts.over(sidecars.read(note.name, content, self._mapping))
        return Facts(relative_path=name).over(facts)


class _Allowance:
    """Bytes that an archive may unpack to. From any thread.

    Args:
        packed: Bytes of the archive.
    """

    def __init__(self, packed: int) -> None:
        self._left = packed * _MOST_UNPACKED + _ALWAYS_UNPACKED_BYTES
        self._counting = threading.Lock()

    def take(self, size: int) -> None:
        """Counts bytes.

        Raises:
            RefusedError: They are too many.
        """
        with self._counting:
            self._left -= size
            if self._left < 0:
                what = f"the archive unpacks to more than {_MOST_UNPACKED} times its size"
                raise RefusedError(what)


def _image(shard: Shard, entry: ZipEntry, allowance: _Allowance) -> bytes:
    head = zip_directory.read(shard, entry, MAX_IMAGE_BYTES, first=_HEAD)
    if not looks_like_image(head):
        return head  # it is refused for what it is, without being unpacked
    content = zip_directory.read(shard, entry, MAX_IMAGE_BYTES)
    allowance.take(len(content))
    if why := too_large(len(content)):
        raise RefusedError(why)
    return content
