"""What sources give: items that have not been read yet, and why some things are none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class RefusedError(Exception):
    """One image cannot be used. The message says why; its neighbours go on."""


class UnreadableError(RefusedError):
    """One image cannot be read now; another time it may be. It is not remembered as refused."""


class SourceError(Exception):
    """A source cannot be read at all, or is not what was asked for."""


@dataclass(frozen=True)
class Facts:
    """What is known of an image beside its bytes. Empty: not known.

    Attributes:
        relative_path: Path within the source, with forward slashes.
        image_name: File name.
        url: Address it was fetched from.
        page_url: Address of the page it was on.
        caption: Description.
        tags: Free labels.
        attributes: Free key-value pairs.
        captured_at: When the picture was taken, with a time zone.
    """

    relative_path: str = ""
    image_name: str = ""
    url: str = ""
    page_url: str = ""
    caption: str = ""
    tags: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    captured_at: datetime | None = None

    def over(self, other: "Facts") -> "Facts":
        """Joins two: what is said here counts more, tags and attributes of both are kept."""
        return Facts(
            self.relative_path or other.relative_path,
            self.image_name or other.image_name,
            self.url or other.url,
            self.page_url or other.page_url,
            self.caption or other.caption,
            tuple(dict.fromkeys((*self.tags, *other.tags))),
            {**other.attributes, **self.attributes},
            self.captured_at or other.captured_at,
        )


@dataclass(frozen=True, slots=True)
class Item:
    """An image that a source has.

    Attributes:
        key: Its name within the source; see `shard_of` for those in archives.
        stamp: Differs when its bytes or what is said of it have changed; known without reading it.
        size: Bytes, as the source says.
        read: Gives the bytes, at most one more than are allowed. Raises RefusedError.
        facts: Reads what the source says of it. Raises RefusedError.
        sha256: What its bytes must have, in hex; "": not said.
        in_order: It can only be read before the source is asked for the next one.
    """

    key: str
    stamp: str
    size: int
    read: Callable[[], bytes]
    facts: Callable[[], Facts]
    sha256: str = ""
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something that is no item, although it should be one.

    Attributes:
        key: Its name within the source.
        stamp: As of items.
        reason: Why it is refused.
    """

    key: str
    stamp: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A file that is still being written, or may be: to be looked at again.

    Attributes:
        key: Its name within the source.
    """

    key: str


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A folder or an archive whose items could not all be listed: none of them counts as gone.

    Attributes:
        prefix: What their keys begin with; "" for all of the source.
        reason: Why.
    """

    prefix: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """All items of an archive have been listed.

    Attributes:
        shard: Its name.
        stamp: Differs when it has changed.
        known: It was not opened, because all of it is known to be done.
    """

    shard: str
    stamp: str
    known: bool = False


Listed = Item | Unusable | Unsettled | Unlisted | ShardEnd


class Source(Protocol):
    """Where images come from.

    Attributes:
        name: The same for the same place, whenever it is opened: what the journal knows it by.
        shards: It is made of archives, and keys begin with theirs.
    """

    name: str
    shards: bool

    def items(self, known: Callable[[str, str], bool]) -> Iterator[Listed]:
        """Lists all items, in an order that stays the same.

        Args:
            known: Says of a shard and its stamp that all of it is done, so that it is not
                even opened.

        Raises:
            SourceError: The source is not there, or cannot be read.
        """
        ...

    def count(self) -> int | None:
        """How many items there are, about; None if only listing them would tell."""
        ...

    def has(self, shard: str) -> bool:
        """Whether a shard is still there."""
        ...


SHARD_MARK = "!"


def in_shard(shard: str, member: str) -> str:
    """The key of an archive's member."""
    return f"{shard}{SHARD_MARK}{member}"


def shard_of(key: str) -> str:
    """The archive that a key is in; "" if in none."""
    return key.partition(SHARD_MARK)[0] if SHARD_MARK in key else ""


def text_of(name: str) -> str:
    """A file's name as text. Names of files need not be Unicode; messages must."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
