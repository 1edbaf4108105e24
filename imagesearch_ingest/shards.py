"""Archives and tables as one source: each is a shard, opened only if not all of it is done."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from imagesearch_ingest.items import (
    Item,
    Listed,
    ShardEnd,
    SourceError,
    Unlisted,
    Unusable,
    in_shard,
    text_of,
)

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 1_000_000

_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "updated", "created")


@dataclass(frozen=True)
class Shard:
    """A file that holds many images.

    Attributes:
        name: Its path within the source.
        files: The file system it is on, an fsspec one.
        path: Its path there.
        size: Bytes.
        stamp: Differs when it has changed.
    """

    name: str
    files: Any
    path: str
    size: int
    stamp: str

    @property
    def local(self) -> bool:
        """It is a file of this machine."""
        return isinstance(self.files, LocalFileSystem)

    def open(self) -> Any:
        """Opens it for reading, as a binary file that can seek."""
        return open(self.path, "rb") if self.local else self.files.open(self.path, "rb")

    def read_at(self, offset: int, size: int) -> bytes:
        """Reads some bytes, fewer where it ends; from any thread.

        Raises:
            OSError: They cannot be read.
        """
        if not self.local:
            content: bytes = self.files.cat_file(self.path, start=offset, end=offset + size)
            return content
        with open(self.path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)


class Reader(Protocol):
    """Reads one kind of shard."""

    def members(self, shard: Shard) -> Iterator[Listed]:
        """Lists the images in a shard; their keys are without its name.

        Raises:
            OSError, ValueError: The shard is damaged, or is none.
        """
        ...

    def count(self, shard: Shard) -> int | None:
        """How many images there are; None if it would have to be read for that."""
        ...


class Shards:
    """Shards of one kind, in one place.

    Args:
        urls: Their paths or URLs, in order.
        reader: Reads them.

    Raises:
        SourceError: They are not in one place, or there are none.
    """

    shards = True

    def __init__(self, urls: Sequence[str], reader: Callable[["Shard"], Reader]) -> None:
        try:
            found = [fsspec.core.url_to_fs(url) for url in urls]
        except (ImportError, ValueError, OSError) as error:
            raise SourceError(f"{urls[0]}: {error}") from error
        if not found:
            raise SourceError("there are no shards of that name")
        self._files: Any = found[0][0]
        self._paths: list[str] = sorted(path for _, path in found)
        folders = {path.rpartition("/")[0] for path in self._paths}
        self._folder = min(folders, key=len)
        if any(not f"{each}/".startswith(f"{self._folder}/") for each in folders):
            raise SourceError("all shards of one source must be below one folder")
        self.name = text_of(self._files.unstrip_protocol(self._folder))
        self._reader = reader

    def items(self, known: Callable[[str, str], bool]) -> Iterator[Listed]:
        """Lists the images of all shards that are not known to be done."""
        for path in self._paths:
            try:
                shard = self._shard(path)
            except (OSError, ValueError) as error:
                name = text_of(self._name(path))
                yield Unlisted(in_shard(name, ""), f"cannot be read: {_why(error)}")
                continue
            if known(shard.name, shard.stamp):
                yield ShardEnd(shard.name, shard.stamp, known=True)
                continue
            try:
                for listed in self._reader(shard).members(shard):
                    yield _within(shard, listed)
            except Exception as error:  # readers of broken files raise all kinds of things
                reason = f"is damaged; what comes after this is not read: {_why(error)}"
                yield Unlisted(in_shard(shard.name, ""), reason)
            else:
                yield ShardEnd(shard.name, shard.stamp)

    def count(self) -> int | None:
        """Adds up what shards say of themselves."""
        total = 0
        for path in self._paths:
            try:
                shard = self._shard(path)
                count = self._reader(shard).count(shard)
            except Exception:  # it is said when the shard is listed
                continue
            if count is None:
                return None
            total += count
        return total

    def has(self, shard: str) -> bool:
        """Whether a shard is still there."""
        return bool(self._files.exists(f"{self._folder}/{shard}"))

    def _name(self, path: str) -> str:
        return path[len(self._folder) + 1 :]

    def _shard(self, path: str) -> Shard:
        info: dict[str, Any] = self._files.info(path)
        if info.get("type") == "directory":
            raise IsADirectoryError(f"{path} is a folder")
        size = int(info["size"] or 0)
        return Shard(text_of(self._name(path)), self._files, path, size, stamp_of(info))


def stamp_of(info: dict[str, Any]) -> str:
    """What tells whether a file has changed, from what its file system says of it."""
    said = next((str(info[name]) for name in _STAMPS if info.get(name)), "")
    return f"{said}:{info.get('size')}"


def _within(shard: Shard, listed: Listed) -> Listed:
    """The same, with the shard's name before its key."""
    if isinstance(listed, Unlisted):
        return Unlisted(in_shard(shard.name, listed.prefix), listed.reason)
    if isinstance(listed, Unusable):
        return Unusable(in_shard(shard.name, listed.key), listed.stamp, listed.reason)
    if isinstance(listed, Item):  # by hand: `replace` would take as long as all the rest
        return Item(
            in_shard(shard.name, listed.key),
            listed.stamp,
            listed.size,
            listed.read,
            listed.facts,
            listed.sha256,
            listed.in_order,
        )
    return listed


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def expand(url: str) -> list[str]:
    """Expands ranges such as "shard-{000000..000123}.tar", and `*`, `?` and `[…]`.

    Raises:
        SourceError: It stands for too many, or for none.
    """
    match = _BRACES.search(url)
    if match is not None:
        first, last = int(match[1]), int(match[2])
        if not 0 <= last - first < _MOST_SHARDS:
            raise SourceError(f"{match[0]} is no range of at most {_MOST_SHARDS} numbers")
        digits = len(match[1])
        numbers = (f"{number:0{digits}d}" for number in range(first, last + 1))
        return [
            each
            for number in numbers
            for each in expand(url[: match.start()] + number + url[match.end() :])
        ]
    if not re.search(r"[*?\[]", url):
        return [url]
    files, path = fsspec.core.url_to_fs(url)
    found = [files.unstrip_protocol(each) for each in sorted(files.glob(path))]
    if not found:
        raise SourceError(f"nothing is called {url}")
    return found
