"""A zip archive's directory, read entry by entry: a million of them take no memory.

The standard library's reader holds all of it, half a gigabyte for a million entries, and unpacks as
much as an entry says. The format is PKWARE's APPNOTE.TXT, 6.3.10.
"""

import bz2
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imagesearch_ingest.items import RefusedError, UnreadableError
from imagesearch_ingest.shards import Shard

_END = struct.Struct("<4s4H2LH")
_END_64_PLACE = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST_COMMENT = 0xFFFF
_PART_BYTES = 1 << 20
_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_UTF_8 = 0x800
_ENCRYPTED = 0x1
_UNIX = 3
_LOCAL_EXTRA = 1_024


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """What the directory says of a member.

    Attributes:
        name: Its path.
        encrypted: It cannot be read without a password.
        method: How it is packed.
        crc: CRC-32 of its content.
        packed: Bytes in the archive.
        size: Bytes unpacked, as it says.
        offset: Where it begins.
        mode: Unix file type and permissions; 0: not said.
    """

    name: str
    encrypted: bool
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int


def entries(shard: Shard) -> Iterator[ZipEntry]:
    """Reads the directory.

    Raises:
        ValueError: It is damaged, or this is no zip archive.
    """
    start, length, shift = _place(shard)
    buffer = b""
    at = start
    while at < start + length or buffer:
        need = _needed(buffer)
        if len(buffer) < need:
            if at >= start + length:
                raise ValueError("its directory ends within an entry")
            more = shard.read_at(at, min(_PART_BYTES, start + length - at))
            if not more:
                raise ValueError("its directory is cut short")
            at += len(more)
            buffer += more
            continue
        place = 0
        while len(buffer) - place >= (need := _needed(buffer, place)):
            yield _entry(buffer[place : place + need], shift)
            place += need
            if place == len(buffer):
                break
        buffer = buffer[place:]


def _needed(buffer: bytes, place: int = 0) -> int:
    """Length of the entry at a place, as far as that can be seen yet."""
    if len(buffer) - place < _ENTRY.size:
        return _ENTRY.size
    name, extra, comment = struct.unpack_from("<3H", buffer, place + 28)
    return _ENTRY.size + int(name) + int(extra) + int(comment)


def _place(shard: Shard) -> tuple[int, int, int]:
    """Where the directory is, its length, and how far offsets are off: what lies before it all."""
    tail_at = max(0, shard.size - _MOST_COMMENT - _END.size)
    tail = shard.read_at(tail_at, shard.size - tail_at)
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < _END.size:
        raise ValueError("it is no zip archive")
    end_at = tail_at + found
    _, _, _, _, _, length, offset, _ = _END.unpack_from(tail, found)
    place_at = end_at - _END_64_PLACE.size
    if place_at >= 0:
        mark, _, end_64_at, _ = _END_64_PLACE.unpack(shard.read_at(place_at, _END_64_PLACE.size))
        if mark == b"PK\6\7":
            # What stands before the archive moves this too: it lies right before its place.
            end_64_at = min(end_64_at, place_at - _END_64.size)
            for at in (end_64_at, place_at - _END_64.size):
                said = shard.read_at(at, _END_64.size)
                if said[:4] == b"PK\6\6" and len(said) == _END_64.size:
                    *_, length, offset = _END_64.unpack(said)
                    end_at = at
                    break
            else:
                raise ValueError("the end of its directory is damaged")
    start = end_at - length
    if start < 0:
        raise ValueError("its directory is longer than the archive")
    return start, length, start - offset


def _entry(data: bytes, shift: int) -> ZipEntry:
    mark, version, _, flags, method, _, _, crc, packed, size, *rest = _ENTRY.unpack_from(data)
    name_length, extra_length, _, _, _, attributes, offset = rest
    if mark != b"PK\1\2":
        raise ValueError("an entry of its directory is damaged")
    raw = data[_ENTRY.size : _ENTRY.size + name_length]
    extra = data[_ENTRY.size + name_length : _ENTRY.size + name_length + extra_length]
    if 0xFFFFFFFF in (packed, size, offset):
        size, packed, offset = _large(extra, size, packed, offset)
    name = raw.decode("utf-8" if flags & _UTF_8 else "cp437", errors="backslashreplace")
    mode = attributes >> 16 if version >> 8 == _UNIX else 0
    return ZipEntry(name, bool(flags & _ENCRYPTED), method, crc, packed, size, offset + shift, mode)


def _large(extra: bytes, *values: int) -> list[int]:
    """Values of more than 32 bits, from the extra field."""
    found = list(values)
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        body, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == 1:
            for i, value in enumerate(found):
                if value == 0xFFFFFFFF and len(body) >= 8:
                    found[i], body = int.from_bytes(body[:8], "little"), body[8:]
    return found


def read(shard: Shard, entry: ZipEntry, most: int, first: int | None = None) -> bytes:
    """Unpacks a member, whatever it says of its size.

    Args:
        shard: The archive.
        entry: The member.
        most: Give at most so many bytes, and one more where there are more.
        first: Give only so many, without checking them.

    Raises:
        RefusedError: It cannot be unpacked.
    """
    if entry.method not in (_STORED, _DEFLATED, _BZIP2):
        raise RefusedError(f"is packed by method {entry.method}, which is not read")
    try:
        packed = _packed(shard, entry, most)
        unpack: Any = {_DEFLATED: lambda: zlib.decompressobj(-15), _BZIP2: bz2.BZ2Decompressor}
        limit = most + 1 if first is None else first
        if entry.method == _STORED:
            content = packed[:limit]
        else:
            try:
                content = unpack[entry.method]().decompress(packed, limit)
            except OSError as error:  # bz2's word for data that is none of its own
                raise ValueError(str(error)) from error
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error}") from error
    except (EOFError, ValueError, zlib.error) as error:
        raise RefusedError(f"cannot be unpacked: {error}") from error
    if first is None and len(content) <= most and zlib.crc32(content) != entry.crc:
        raise RefusedError("cannot be unpacked: its bytes are not those that were packed (CRC)")
    return content


def _packed(shard: Shard, entry: ZipEntry, most: int) -> bytes:
    """The packed bytes of a member; of one that is too large, as many as show it."""
    length = min(entry.packed, 2 * most)
    around = _LOCAL.size + len(entry.name.encode()) + _LOCAL_EXTRA
    data = shard.read_at(entry.offset, around + length)
    if len(data) < _LOCAL.size or data[:4] != b"PK\3\4":
        raise ValueError("it is not where the directory says")
    *_, name_length, extra_length = _LOCAL.unpack_from(data)
    begin = _LOCAL.size + name_length + extra_length
    if len(data) < begin + length:
        data += shard.read_at(entry.offset + len(data), begin + length - len(data))
    if len(data) < begin + length:
        raise ValueError("the archive ends within it")
    return data[begin : begin + length]
