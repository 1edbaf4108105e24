"""Zip archives."""

import stat
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import Any

from imagesearch_ingest import sidecars
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

_ENCRYPTED = 0x1
_UNIX = 3
_MOST_UNPACKED = 100
_ALWAYS_UNPACKED_BYTES = 1 << 30


class Zips:
    """Reads zip archives. Members have sidecars as files have: `photo.jpg.json`, `photo.json`, ….

    Args:
        mapping: How JSON members are read.
    """

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping

    def members(self, shard: Shard) -> Iterator[Listed]:
        """Lists the images, in the order of the archive's directory."""
        archive = _Archive(shard)
        for info in archive.zip.infolist():
            if is_image(info.filename) or (is_archive(info.filename) and not info.is_dir()):
                yield self._listed(archive, info)

    def count(self, shard: Shard) -> int | None:
        """Counts entries; some may be no images."""
        with shard.open() as file, zipfile.ZipFile(file) as opened:
            return sum(1 for info in opened.infolist() if is_image(info.filename))

    def _listed(self, archive: "_Archive", info: zipfile.ZipInfo) -> Listed:
        name = text_of(info.filename)
        stamp = f"{info.CRC:08x}:{info.file_size}"
        mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
        if why := why_not(text_of(info.orig_filename)) or why_not(name):
            return Unusable(name, stamp, why)
        if stat.S_ISLNK(mode):
            return Unusable(name, stamp, "is a link; archives must hold the files themselves")
        if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
            return Unusable(name, stamp, "is no regular file")
        if is_archive(name):
            return Unusable(name, stamp, "is an archive within an archive; unpack it first")
        if info.flag_bits & _ENCRYPTED:
            return Unusable(name, stamp, "is encrypted")
        if why := too_large(info.file_size):
            return Unusable(name, stamp, why)
        notes = [
            note
            for each in sidecars.names(info.filename)
            if (note := archive.zip.NameToInfo.get(each)) is not None
            and note.file_size <= sidecars.MAX_BYTES
            and not note.flag_bits & _ENCRYPTED
        ]
        stamp += "".join(f":{note.CRC:08x}:{note.file_size}" for note in notes)
        return Item(
            name,
            stamp,
            info.file_size,
            partial(archive.image, info),
            partial(self._facts, archive, name, notes),
        )

    def _facts(self, archive: "_Archive", name: str, notes: list[zipfile.ZipInfo]) -> Facts:
        facts = Facts()
        for note in notes:
            content = archive.read(note, sidecars.MAX_BYTES)
            facts = facts.over(sidecars.read(note.filename, content, self._mapping))
        return Facts(relative_path=name).over(facts)


class _Archive:
    """An open archive, which lasts as long as an item of it does; read from any thread."""

    def __init__(self, shard: Shard) -> None:
        file: Any = shard.path if shard.local else shard.open()
        self.zip = zipfile.ZipFile(file)
        self._left = shard.size * _MOST_UNPACKED + _ALWAYS_UNPACKED_BYTES
        self._counting = threading.Lock()

    def image(self, info: zipfile.ZipInfo) -> bytes:
        content = self.read(info, MAX_IMAGE_BYTES, only_images=True)
        if why := too_large(len(content)):
            raise RefusedError(why)
        return content

    def read(self, info: zipfile.ZipInfo, most: int, only_images: bool = False) -> bytes:
        """Unpacks a member, whatever it says of its size.

        Raises:
            RefusedError: It is damaged, or all of the archive is far larger than it should be.
        """
        try:
            with self.zip.open(info) as member:
                content = member.read(16)
                if only_images and not looks_like_image(content):
                    return content
                content += member.read(most + 1 - len(content))
        except Exception as error:  # zlib, bz2, lzma and zipfile each have errors of their own
            raise RefusedError(f"cannot be unpacked: {error}") from error
        with self._counting:
            self._left -= len(content)
            if self._left < 0:
                what = f"the archive unpacks to more than {_MOST_UNPACKED} times its size"
                raise RefusedError(what)
        return content
