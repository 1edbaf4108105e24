"""Tar archives, as they are and as webdataset shards: members of one key belong together."""

import gzip
import io
import posixpath
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from typing import Any

from imagesearch_ingest import sidecars
from imagesearch_ingest.formats import (
    MAX_IMAGE_BYTES,
    is_archive,
    is_image,
    too_large,
)
from imagesearch_ingest.items import (
    Facts,
    Item,
    Listed,
    RefusedError,
    Unlisted,
    UnreadableError,
    Unusable,
    text_of,
)
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.paths import why_not
from imagesearch_ingest.shards import Shard

MAX_HEADER_BYTES = 64 * 1024
_MOST_UNPACKED = 100
_ALWAYS_UNPACKED_BYTES = 1 << 30
_MOST_IN_GROUP = 100
_MOST_IMAGES = 8  # of one key; in archives that are read in order, they wait in memory


class Tars:
    """Reads tar archives, also compressed ones.

    Members whose names are the same up to the first dot of the last part, and that follow each
    other, are one sample: `0001.jpg`, `0001.json`, `0001.txt`.

    Args:
        mapping: How JSON members are read.
    """

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping

    def members(self, shard: Shard) -> Iterator[Listed]:
        """Lists the images, in the order of the archive."""
        with shard.open() as file:
            if shard.local and shard.name.endswith(".tar"):
                with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
                    yield from self._groups(tar, _ByPlace(shard))
            else:
                with tarfile.open(
                    fileobj=_Unpacked(_decompressed(shard.name, file), shard.size),
                    mode="r|",
                    tarinfo=_Header,
                ) as tar:
                    yield from self._groups(tar, _InOrder(tar))

    def count(self, shard: Shard) -> int | None:
        """Not known without reading it."""
        return None

    def _groups(self, tar: tarfile.TarFile, contents: "_Contents") -> Iterator[Listed]:
        group = _Group("", contents, self._mapping)
        while True:
            try:
                member = tar.next()
            except UnicodeError as error:
                yield Unlisted("", f"has a name that cannot be read: {error}")
                return
            if member is None:
                break
            tar.members = []  # type: ignore[attr-defined]  # or it would keep them all
            name = text_of(member.name)
            if (key := _key(name)) != group.key or len(group.notes) > _MOST_IN_GROUP:
                yield from group.items()
                group = _Group(key, contents, self._mapping)
            if is_image(name) or is_archive(name):
                listed = _listed(name, member, contents)
                yield from group.add(listed)
            elif member.isreg() and name.lower().endswith(sidecars.SUFFIXES):
                group.note(name, member)
        yield from group.items()


class _Group:
    """Members of one key. Items wait until all that is said of them has been seen."""

    def __init__(self, key: str, contents: "_Contents", mapping: Mapping) -> None:
        self.key = key
        self.notes: list[tuple[str, Any]] = []
        self._contents = contents
        self._mapping = mapping
        self._items: list[Item] = []

    def add(self, listed: Listed) -> Iterator[Listed]:
        if isinstance(listed, Item):
            self._items.append(listed)
            if len(self._items) >= _MOST_IMAGES:
                yield from self.items()
        else:
            yield listed

    def note(self, name: str, member: tarfile.TarInfo) -> None:
        if member.size <= sidecars.MAX_BYTES and len(self.notes) < _MOST_IN_GROUP:
            self.notes.append((name, self._contents.later(member, sidecars.MAX_BYTES)))

    def items(self) -> Iterator[Listed]:
        notes = list(self.notes)
        for item in self._items:
            yield Item(
                item.key, item.stamp, item.size, item.read, partial(self._facts, item.key, notes)
            )
        self._items = []

    def _facts(self, name: str, notes: list[tuple[str, Any]]) -> Facts:
        facts = Facts()
        by_suffix = [
            each for s in sidecars.SUFFIXES for each in notes if each[0].lower().endswith(s)
        ]
        for note, read in by_suffix:
            facts = facts.over(sidecars.read(note, read(), self._mapping))
        return Facts(relative_path=name).over(facts)


class _Contents:
    """Reads what members hold."""

    stamp: str

    def later(self, member: tarfile.TarInfo, most: int) -> Any:
        """Gives a function that reads a member, at most so many bytes of it."""
        raise NotImplementedError


class _ByPlace(_Contents):
    """Reads members of an archive that lies here, in any order and from any thread."""

    def __init__(self, shard: Shard) -> None:
        self.stamp = shard.stamp
        self._shard = shard

    def later(self, member: tarfile.TarInfo, most: int) -> Any:
        return partial(self._read, member.offset_data, min(member.size, most + 1))

    def _read(self, offset: int, size: int) -> bytes:
        try:
            content = self._shard.read_at(offset, size)
        except OSError as error:
            raise UnreadableError(f"cannot be read: {error}") from error
        if len(content) < size:
            raise RefusedError("the archive ends within it")
        return content


class _InOrder(_Contents):
    """Reads members as they pass by; what is read waits until it is asked for."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self.stamp = ""
        self._tar = tar

    def later(self, member: tarfile.TarInfo, most: int) -> Any:
        file = self._tar.extractfile(member)
        content = file.read(most + 1) if file is not None else b""
        return lambda: content


def _listed(name: str, member: tarfile.TarInfo, contents: _Contents) -> Listed:
    stamp = f"{member.size}:{member.mtime:.0f}:{contents.stamp}"
    if why := why_not(name):
        return Unusable(name, stamp, why)
    if member.issym() or member.islnk():
        return Unusable(name, stamp, "is a link; archives must hold the files themselves")
    if not member.isreg() or member.issparse():
        return Unusable(name, stamp, "is no regular file")
    if is_archive(name):
        return Unusable(name, stamp, "is an archive within an archive; unpack it first")
    if why := too_large(member.size):
        return Unusable(name, stamp, why)
    read = contents.later(member, MAX_IMAGE_BYTES)
    return Item(name, stamp, member.size, read, Facts)


def _key(name: str) -> str:
    folder, last = posixpath.split(name)
    return f"{folder}/{last.partition('.')[0]}"


class _Header(tarfile.TarInfo):
    """A member's header, whose extensions may not take much memory."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        extensions = (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if self.type in extensions and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header has {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


class _Unpacked(io.RawIOBase):
    """A compressed archive's content, as far as it is not far larger than the archive.

    Args:
        file: The content.
        packed: Bytes of the archive.
    """

    def __init__(self, file: Any, packed: int) -> None:
        self._file = file
        self._left = packed * _MOST_UNPACKED + _ALWAYS_UNPACKED_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {_MOST_UNPACKED} times its size")
        return content


def _decompressed(name: str, file: Any) -> Any:
    lower = name.lower()
    if lower.endswith((".gz", ".tgz")):
        return gzip.GzipFile(fileobj=file)
    if lower.endswith((".zst", ".tzst")):
        return _zstd(file)
    if lower.endswith((".bz2", ".xz")):
        import bz2
        import lzma

        return bz2.BZ2File(file) if lower.endswith(".bz2") else lzma.LZMAFile(file)
    return file


def _zstd(file: Any) -> Any:
    """Opens zstandard: with the standard library, or with the package that stands in for it."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        try:
            from backports import zstd
        except ImportError as error:
            raise ValueError("reading .zst needs the package backports.zstd") from error
    return zstd.ZstdFile(file)
