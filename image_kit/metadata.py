"""Files without what they say beside the picture: EXIF, GPS positions, XMP, comments, thumbnails.

What the picture itself is made of is copied as it is, or left where it is: nothing is decoded, and
nothing lost. Orientation and colour profiles stay, for without them it would be another picture.

Runs in decoding processes, on files that the decoder has accepted.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from struct import error as StructError
from struct import pack, unpack_from

_MOST_STEPS = 100_000
"""Segments, chunks, blocks or entries of one file that are looked at."""


class UnclearError(Exception):
    """The file is not built in the usual way: what would be left of it is not known."""


def without_metadata(data: bytes, kind: str, orientation: int) -> bytes:
    """Takes everything out of a file that is not its picture.

    Args:
        data: The file.
        kind: Pillow's name of its format; "JPEG" stands for the first picture of an MPO, too.
        orientation: As EXIF has it, 1 to 8. It is kept.

    Returns:
        The same file where there is nothing to be taken out.

    Raises:
        UnclearError: The file is not built in the usual way.
    """
    try:
        return _FORMATS[kind](data, orientation)
    except (StructError, IndexError, KeyError, ValueError, OverflowError) as error:
        raise UnclearError from error


def _exif(orientation: int) -> bytes:
    """EXIF that says nothing but the orientation: a TIFF header, and one entry or none."""
    if orientation == 1:
        return b"MM\0*\0\0\0\x08" + bytes(6)
    return b"MM\0*\0\0\0\x08" + pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def _jpeg(data: bytes, orientation: int) -> bytes:
    """By ITU-T T.81, annex B: segments, and entropy-coded data behind those of scans."""
    kept = [b"\xff\xd8"]
    if orientation != 1:
        exif = b"Exif\0\0" + _exif(orientation)
        kept.append(b"\xff\xe1" + pack(">H", 2 + len(exif)) + exif)
    at = 2
    for _ in range(_MOST_STEPS):
        if data[at] != 0xFF:
            raise UnclearError
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xD9:  # the end; an MPO has more pictures behind it
            return b"".join((*kept, b"\xff\xd9"))
        (length,) = unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker < 0xC0 or 0xD0 <= marker <= 0xD8 or length < 2 or end > len(data):
            raise UnclearError
        kept.append(_jpeg_segment(marker, data[at:end]))
        at = end
        if marker == 0xDA:
            found = _AFTER_SCAN.search(data, at)
            if found is None:
                raise UnclearError
            kept.append(data[at : found.start()])
            at = found.start()
    raise UnclearError


_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")

_JFIF_SIZE = 18


def _jpeg_segment(marker: int, segment: bytes) -> bytes:
    """What is kept of a segment."""
    if marker == 0xE0 and segment[4:9] == b"JFIF\0":
        # Without the thumbnail that may follow.
        return b"\xff\xe0\0\x10" + segment[4 : _JFIF_SIZE - 2] + b"\0\0"
    if marker == 0xE2 and segment[4:16] == b"ICC_PROFILE\0":
        return segment
    if marker == 0xEE and segment[4:9] == b"Adobe":  # says how colours are coded
        return segment
    return b"" if 0xE0 <= marker <= 0xEF or marker == 0xFE else segment


_PNG_CHUNKS = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"mDCV", b"cLLI"),
    *(b"bKGD", b"pHYs", b"hIST", b"sPLT", b"acTL", b"fcTL", b"fdAT"),
}


def _png(data: bytes, orientation: int) -> bytes:
    """By the PNG specification, third edition, section 5."""
    kept, at = [data[:8]], 8
    exif = b"eXIf" + _exif(orientation)
    exif = pack(">I", len(exif) - 4) + exif + pack(">I", zlib.crc32(exif))
    for _ in range(_MOST_STEPS):
        length, kind = unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise UnclearError
        if kind == b"IDAT" and orientation != 1:
            kept.append(exif)
            orientation = 1
        if kind in _PNG_CHUNKS:
            kept.append(data[at:end])
        if kind == b"IEND":
            return b"".join(kept)
        at = end
    raise UnclearError


_WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


def _webp(data: bytes, orientation: int) -> bytes:
    """By RFC 9649, section 2."""
    kept, at = [], 12
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise UnclearError
    while at < end:
        kind, length = unpack_from("<4sI", data, at)
        chunk = data[at : at + 8 + length + length % 2]
        if kind == b"VP8X":
            flags = chunk[8] & ~(_WEBP_EXIF | _WEBP_XMP)
            flags |= _WEBP_EXIF if orientation != 1 else 0
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        if kind in _WEBP_CHUNKS:
            kept.append(chunk)
        at += 8 + length + length % 2
    if orientation != 1:
        exif = _exif(orientation)
        kept.append(b"EXIF" + pack("<I", len(exif)) + exif)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + pack("<I", len(body)) + body


# Repetitions of animations, and colour profiles.
_GIF_APPLICATIONS = {b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"}


def _gif(data: bytes, orientation: int) -> bytes:
    """By the GIF89a specification, sections 17 to 27."""
    at = 13 + _gif_colours(data[10])
    kept = [data[:at]]
    for _ in range(_MOST_STEPS):
        start, mark = at, data[at]
        if mark == ord(";"):
            return b"".join((*kept, b";"))
        if mark == ord(","):
            at = _after_gif_blocks(data, at + 11 + _gif_colours(data[at + 9]))
            kept.append(data[start:at])
        elif mark == ord("!"):
            at = _after_gif_blocks(data, at + 2)
            label, name = data[start + 1], data[start + 3 : start + 14]
            if label in (0xF9, 0x01) or (label == 0xFF and name in _GIF_APPLICATIONS):
                kept.append(data[start:at])
        else:
            raise UnclearError
    raise UnclearError


def _gif_colours(flags: int) -> int:
    return (2 << (flags & 7)) * 3 * (flags >> 7)


def _after_gif_blocks(data: bytes, at: int) -> int:
    while length := data[at]:
        at += 1 + length
    return at + 1


# What a picture is made of, by TIFF 6.0 and its supplements; orientation and profile with it.
_TIFF_TAGS = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281),
    *(282, 283, 284, 290, 291, 292, 293, 296, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325),
    *(332, 334, 336, 338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532, 34675, 50674),
}
_TIFF_FOLDERS = {330, 34665, 34853, 40965}
_TIFF_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)


class _Tiff:
    """Blanks in place what is not the picture: offsets lead everywhere in such a file."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self._order = "<" if data.startswith(b"II") else ">"
        self._big = data[2 if self._order == "<" else 3] == 43
        self._steps = iter(range(_MOST_STEPS))

    def clean(self) -> None:
        at, seen = self._number(8) if self._big else self._number(4), set()
        while at:
            if at in seen:
                raise UnclearError
            seen.add(at)
            at = self._clean_folder(at, _TIFF_TAGS)

    def _number(self, at: int, code: str = "") -> int:
        code = code or ("Q" if self._big else "I")
        return int(unpack_from(self._order + code, self.data, at)[0])

    def _clean_folder(self, at: int, keeps: set[int]) -> int:
        """Drops the entries of a folder that are not kept; where the next folder is."""
        head, entry, pointer = (8, 20, 8) if self._big else (2, 12, 4)
        count = self._number(at, "Q" if self._big else "H")
        end = at + head + count * entry
        if end + pointer > len(self.data):
            raise UnclearError
        kept = []
        for place in range(at + head, end, entry):
            next(self._steps)
            if self._number(place, "H") in keeps:
                kept.append(bytes(self.data[place : place + entry]))
            else:
                self._blank(place, entry, pointer)
        following = bytes(self.data[end : end + pointer])
        if len(kept) < count:
            new = pack(self._order + ("Q" if self._big else "H"), len(kept)) + b"".join(kept)
            new += following
            self.data[at : end + pointer] = new + bytes(end + pointer - at - len(new))
        return int.from_bytes(following, "little" if self._order == "<" else "big")

    def _blank(self, place: int, entry: int, pointer: int) -> None:
        tag, kind = self._number(place, "H"), self._number(place + 2, "H")
        count = self._number(place + 4)
        size = _TIFF_SIZES[kind] * count
        start = place + entry - pointer
        if size > pointer:
            start = self._number(start)
            if start + size > len(self.data):
                raise UnclearError
        if tag in _TIFF_FOLDERS:
            for each in range(start, start + size, pointer):
                self._clean_folder(self._number(each), set())
        self.data[start : start + size] = bytes(size)


def _tiff(data: bytes, orientation: int) -> bytes:
    tiff = _Tiff(data)
    try:
        tiff.clean()
    except (StopIteration, RecursionError) as error:
        raise UnclearError from error
    return bytes(tiff.data)


_HEIF_FOLDERS = {b"moov", b"trak"}
_HEIF_NOTES = {b"udta", b"uuid"}
_HEIF_ITEMS = {b"Exif", b"mime", b"uri "}


def _heif(data: bytes, orientation: int) -> bytes:
    """By ISO/IEC 14496-12 and 23008-12: blanks the items that are no pictures, where they are."""
    blanked = bytearray(data)
    for kind, start, end in _boxes(data, 0, len(data), _HEIF_FOLDERS):
        if kind in _HEIF_NOTES:
            blanked[start:end] = bytes(end - start)
        elif kind == b"meta":
            for is_exif, begin, length in _heif_notes(data, start + 4, end):
                # No EXIF at all would be a broken one to some readers.
                said = bytes(4) + _exif(1) if is_exif else b""
                blanked[begin : begin + length] = said[:length] + bytes(length - len(said[:length]))
    return bytes(blanked)


def _boxes(
    data: bytes, at: int, end: int, folders: set[bytes] | frozenset[bytes] = frozenset()
) -> Iterator[tuple[bytes, int, int]]:
    """Boxes one after the other, and what is in those that are folders: kind, start, end."""
    for _ in range(_MOST_STEPS):
        if at >= end:
            return
        size, kind = unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = unpack_from(">Q", data, start)
            start += 8
        after = at + size if size else end
        if not start <= after <= end:
            raise UnclearError
        yield kind, start, after
        if kind in folders:
            yield from _boxes(data, start, after, folders)
        at = after
    raise UnclearError


def _heif_notes(data: bytes, start: int, end: int) -> Iterator[tuple[bool, int, int]]:
    """Where in the file items are that are no pictures: whether EXIF, offset, length."""
    boxes = {kind: (begin, after) for kind, begin, after in _boxes(data, start, end)}
    kinds = dict(_heif_kinds(data, *boxes[b"iinf"])) if b"iinf" in boxes else {}
    if not _HEIF_ITEMS & set(kinds.values()):
        return
    at, _ = boxes[b"iloc"]
    version = data[at]
    sizes, base = data[at + 4] >> 4, data[at + 5] >> 4
    lengths, indexes = data[at + 4] & 15, data[at + 5] & 15 if version else 0
    at += 6
    wide = 4 if version == 2 else 2

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise UnclearError
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)
        first = number(base)
        if method == 1:
            first += boxes[b"idat"][0]
        for _ in range(number(2)):
            number(indexes)
            offset, length = first + number(sizes), number(lengths)
            if kinds.get(item) in _HEIF_ITEMS:
                if method > 1 or offset + length > len(data):
                    raise UnclearError
                yield kinds[item] == b"Exif", offset, length


def _heif_kinds(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Kinds of items by number."""
    start += 6 if data[start] == 0 else 8
    for kind, at, _ in _boxes(data, start, end):
        if kind == b"infe" and data[at] >= 2:
            wide = 2 if data[at] == 2 else 4
            yield (
                int.from_bytes(data[at + 4 : at + 4 + wide], "big"),
                data[at + 6 + wide : at + 10 + wide],
            )


_FORMATS: dict[str, Callable[[bytes, int], bytes]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "BMP": lambda data, _: data,
    "TIFF": _tiff,
    "HEIF": _heif,
    "AVIF": _heif,
}
