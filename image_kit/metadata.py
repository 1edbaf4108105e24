"""Files without what they say beside the picture: EXIF, GPS positions, XMP, comments, trailers.

What the picture itself is made of is copied as it is, or left where it is, and nothing else is
kept: nothing is decoded, and nothing lost. Orientation and colour profiles stay, for without them
it would be another picture.

Runs in decoding processes, on files that the decoder has accepted.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from struct import error as StructError
from struct import pack, unpack_from

_MOST_STEPS = 300_000
"""Segments, chunks, blocks, entries or extents of one file that are looked at: half a second."""


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
        return _FORMATS[kind](data, orientation, _Steps())
    except (StructError, IndexError, KeyError, ValueError, OverflowError) as error:
        raise UnclearError from error


class _Steps:
    """Bounds the work that one file may make."""

    def __init__(self) -> None:
        self._left = _MOST_STEPS

    def take(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            raise UnclearError


class _Kept:
    """A file of which only parts are kept, each where it is; the rest is zeros."""

    def __init__(self, data: bytes, steps: _Steps) -> None:
        self.data = bytearray(len(data))
        self._from = data
        self._steps = steps
        self._bytes_left = 4 * len(data)

    def keep(self, start: int, end: int) -> None:
        self._check(start, end)
        self.data[start:end] = self._from[start:end]

    def blank(self, start: int, end: int, said: bytes = b"") -> None:
        """Keeps nothing of a part after all, and says this in it."""
        self._check(start, end)
        said = said[: end - start]
        self.data[start:end] = said + bytes(end - start - len(said))

    def _check(self, start: int, end: int) -> None:
        self._steps.take()
        self._bytes_left -= max(0, end - start)
        if not 0 <= start <= end <= len(self._from) or self._bytes_left < 0:
            raise UnclearError


def _exif(orientation: int) -> bytes:
    """EXIF that says nothing but the orientation: a TIFF header, and one entry or none."""
    if orientation == 1:
        return b"MM\0*\0\0\0\x08" + bytes(6)
    return b"MM\0*\0\0\0\x08" + pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


# Pillow heeds XMP where nothing else says it.
_TURNED_BY_XMP = re.compile(rb"""Orientation(=["']|>)\s*[2-8]""")


def _jpeg(data: bytes, orientation: int, steps: _Steps) -> bytes:
    """By ITU-T T.81, annex B: segments, and entropy-coded data behind those of scans."""
    kept = [b"\xff\xd8"]
    if orientation != 1:
        exif = b"Exif\0\0" + _exif(orientation)
        kept.append(b"\xff\xe1" + pack(">H", 2 + len(exif)) + exif)
    at = 2
    while True:
        steps.take()
        # What is between segments is passed over by decoders.
        if (found := _MARKER.search(data, at)) is None:
            raise UnclearError
        at, marker = found.start(), data[found.end() - 1]
        if marker == 0xD9:  # the end; an MPO has more pictures behind it
            return b"".join((*kept, b"\xff\xd9"))
        (length,) = unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker < 0xC0 or 0xD0 <= marker <= 0xD8 or length < 2 or end > len(data):
            raise UnclearError
        kept.append(_jpeg_segment(marker, data[at:end]))
        at = end
        if marker == 0xDA:
            if (found := _AFTER_SCAN.search(data, at)) is None:
                raise UnclearError
            kept.append(data[at : found.start()])
            at = found.start()


_MARKER = re.compile(rb"\xff[^\x00\xff]")
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")


def _jpeg_segment(marker: int, segment: bytes) -> bytes:
    """What is kept of a segment."""
    if marker == 0xE0 and segment[4:9] == b"JFIF\0" and len(segment) >= 18:
        return b"\xff\xe0\0\x10" + segment[4:16] + b"\0\0"  # without the thumbnail behind it
    if marker == 0xE2 and segment[4:16] == b"ICC_PROFILE\0":
        return segment
    if marker == 0xEE and segment[4:9] == b"Adobe" and len(segment) >= 16:
        return b"\xff\xee\0\x0e" + segment[4:16]  # says how colours are coded
    if marker == 0xDC and len(segment) != 6:
        raise UnclearError
    return b"" if 0xE0 <= marker <= 0xEF or marker == 0xFE else segment


_PNG_CHUNKS = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"mDCV", b"cLLI"),
    *(b"bKGD", b"pHYs", b"hIST", b"sPLT", b"acTL", b"fcTL", b"fdAT"),
}
_PNG_END = b"\0\0\0\0IEND" + pack(">I", zlib.crc32(b"IEND"))


def _png(data: bytes, orientation: int, steps: _Steps) -> bytes:
    """By the PNG specification, third edition, section 5."""
    kept, at, has_data = [data[:8]], 8, False
    while at < len(data) or not has_data:
        steps.take()
        length, kind = unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise UnclearError
        if kind == b"IEND":
            break
        if kind == b"IDAT" and not has_data:
            has_data = True
            if orientation != 1:
                exif = b"eXIf" + _exif(orientation)
                kept.append(pack(">I", len(exif) - 4) + exif + pack(">I", zlib.crc32(exif)))
        if kind in _PNG_CHUNKS:
            kept.append(data[at:end])
        at = end
    return b"".join((*kept, _PNG_END))


_WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_WEBP_FRAME_CHUNKS = {b"VP8 ", b"VP8L", b"ALPH"}
_WEBP_FRAME_HEAD = 16
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


def _webp(data: bytes, orientation: int, steps: _Steps) -> bytes:
    """By RFC 9649, section 2."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise UnclearError
    kept = []
    for kind, content in _webp_chunks(data, 12, end, steps):
        if kind == b"VP8X":
            flags = content[0] & ~(_WEBP_EXIF | _WEBP_XMP)
            flags |= _WEBP_EXIF if orientation != 1 else 0
            content = bytes([flags]) + content[1:]
        if kind == b"ANMF":
            content = content[:_WEBP_FRAME_HEAD] + b"".join(
                _webp_chunk(inner, what)
                for inner, what in _webp_chunks(content, _WEBP_FRAME_HEAD, len(content), steps)
                if inner in _WEBP_FRAME_CHUNKS
            )
        if kind in _WEBP_CHUNKS:
            kept.append(_webp_chunk(kind, content))
    if orientation != 1:
        kept.append(_webp_chunk(b"EXIF", _exif(orientation)))
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + pack("<I", len(body)) + body


def _webp_chunks(data: bytes, at: int, end: int, steps: _Steps) -> Iterator[tuple[bytes, bytes]]:
    while at < end:
        steps.take()
        kind, length = unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise UnclearError
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + pack("<I", len(content)) + content + bytes(len(content) % 2)


# Repetitions of animations, and colour profiles.
_GIF_APPLICATIONS = {b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"}


def _gif(data: bytes, orientation: int, steps: _Steps) -> bytes:
    """By the GIF89a specification, sections 17 to 27; its end may be missing."""
    at = 13 + _gif_colours(data[10])
    kept = [data[:at]]
    while at < len(data) and data[at] != ord(";"):
        steps.take()
        start, mark = at, data[at]
        if mark == ord(","):
            at = _after_gif_blocks(data, at + 11 + _gif_colours(data[at + 9]), steps)
            kept.append(data[start:at])
        elif mark == ord("!"):
            at = _after_gif_blocks(data, at + 2, steps)
            label, name = data[start + 1], data[start + 3 : start + 14]
            if label == 0xF9 or (label == 0xFF and name in _GIF_APPLICATIONS):
                kept.append(data[start:at])
        else:  # decoders pass it over
            at += 1
    return b"".join((*kept, b";"))


def _gif_colours(flags: int) -> int:
    return (2 << (flags & 7)) * 3 * (flags >> 7)


def _after_gif_blocks(data: bytes, at: int, steps: _Steps) -> int:
    while length := data[at]:
        steps.take()
        at += 1 + length
    return at + 1


def _bmp(data: bytes, orientation: int, steps: _Steps) -> bytes:
    """Cuts off what follows the pixels, where it is known where they end."""
    (start, size) = unpack_from("<II", data, 10)
    if size < 40:
        return data
    width, height, _, bits, packed, length = unpack_from("<iiHHII", data, 18)
    if packed in (0, 3):  # not compressed
        length = (width * bits + 31) // 32 * 4 * abs(height)
    end = start + length
    return data[:end] if length > 0 and end < len(data) else data


# What a picture is made of, by TIFF 6.0 and its supplements; orientation and profile with it.
_TIFF_TAGS = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281),
    *(282, 283, 284, 290, 291, 292, 293, 296, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325),
    *(330, 332, 334, 336, 338, 339, 340, 341, 347, 529, 530, 531, 532, 34675),
}
_TIFF_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
_TIFF_NUMBERS = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TIFF_DATA = {273: 279, 324: 325}
_TIFF_ORIENTATION, _TIFF_SUBFILES, _TIFF_COMPRESSION = 274, 330, 259
_TIFF_OLD_JPEG = 6  # its tables are anywhere


class _Tiff:
    """Keeps in place what is the picture: offsets lead everywhere in such a file."""

    def __init__(self, data: bytes, steps: _Steps) -> None:
        self._data = data
        self._steps = steps
        self._kept = _Kept(data, steps)
        self._order = "<" if data.startswith(b"II") else ">"
        self._is_big = data[2 if self._order == "<" else 3] == 43
        self._head, self._entry, self._pointer = (8, 20, 8) if self._is_big else (2, 12, 4)

    def cleaned(self) -> bytes:
        start = 16 if self._is_big else 8
        self._kept.keep(0, start)
        folders, seen = [self._numbers(start - self._pointer, self._word)[0]], set[int]()
        while folders:
            at = folders.pop()
            if at:
                if at in seen:
                    raise UnclearError
                seen.add(at)
                folders += self._clean_folder(at, is_first=len(seen) == 1)
        return bytes(self._kept.data)

    @property
    def _word(self) -> str:
        return "Q" if self._is_big else "I"

    def _numbers(self, at: int, code: str, count: int = 1) -> tuple[int, ...]:
        return unpack_from(f"{self._order}{count}{code}", self._data, at)

    def _clean_folder(self, at: int, *, is_first: bool) -> list[int]:
        """Keeps a folder's entries that are the picture's; where other folders are."""
        code = "Q" if self._is_big else "H"
        (count,) = self._numbers(at, code)
        self._steps.take(1 + count)
        end = at + self._head + count * self._entry
        (following,) = self._numbers(end, self._word)
        entries, values = [], {}
        for place in range(at + self._head, end, self._entry):
            (tag,) = self._numbers(place, "H")
            if tag in _TIFF_TAGS:
                entries.append(self._data[place : place + self._entry])
                values[tag] = self._value(place)
        if is_first and _TIFF_ORIENTATION not in values and _TURNED_BY_XMP.search(self._data):
            raise UnclearError
        self._keep_picture(values)
        new = pack(self._order + code, len(entries)) + b"".join(entries)
        new += pack(self._order + self._word, following)
        self._kept.data[at : at + len(new)] = new
        return [following, *values.get(_TIFF_SUBFILES, ())]

    def _value(self, place: int) -> tuple[int, ...]:
        """Keeps the value of an entry; gives it where it is made of whole numbers."""
        _, kind = self._numbers(place, "H", 2)
        (count,) = self._numbers(place + 4, self._word)
        start, size = place + self._entry - self._pointer, _TIFF_SIZES[kind] * count
        if not size:
            raise UnclearError
        if size > self._pointer:
            (start,) = self._numbers(start, self._word)
            self._kept.keep(start, start + size)
        if kind not in _TIFF_NUMBERS:
            return ()
        self._steps.take(count)
        return self._numbers(start, _TIFF_NUMBERS[kind], count)

    def _keep_picture(self, values: dict[int, tuple[int, ...]]) -> None:
        if values.get(_TIFF_COMPRESSION) == (_TIFF_OLD_JPEG,):
            raise UnclearError
        for offsets, lengths in _TIFF_DATA.items():
            if len(values.get(offsets, ())) != len(values.get(lengths, ())):
                raise UnclearError
            for start, length in zip(values.get(offsets, ()), values.get(lengths, ()), strict=True):
                self._kept.keep(start, start + length)


def _tiff(data: bytes, orientation: int, steps: _Steps) -> bytes:
    return _Tiff(data, steps).cleaned()


_HEIF_KEPT = {
    b"": {b"ftyp", b"meta", b"mdat", b"moov"},
    b"moov": {b"mvhd", b"trak"},
    b"trak": {b"tkhd", b"mdia", b"edts", b"tref"},
    b"meta": {b"hdlr", b"pitm", b"iinf", b"iloc", b"iref", b"iprp", b"idat", b"grpl", b"dinf"},
}
_HEIF_NOTES = {b"Exif", b"mime", b"uri "}


def _heif(data: bytes, orientation: int, steps: _Steps) -> bytes:
    """By ISO/IEC 14496-12 and 23008-12: blanks the items that are no pictures, where they are."""
    if orientation != 1 and b"irot" not in data and b"imir" not in data:
        raise UnclearError  # XMP alone says it
    heif = _Heif(data, steps)
    heif.walk(b"", 0, len(data))
    return heif.cleaned()


class _Heif:
    """Keeps in place what is the picture, and boxes of notes as empty ones."""

    def __init__(self, data: bytes, steps: _Steps) -> None:
        self._data = data
        self._steps = steps
        self._kept = _Kept(data, steps)
        self._end = len(data)
        self._found: dict[bytes, tuple[int, int]] = {}
        self._media: list[tuple[int, int]] = []

    def walk(self, folder: bytes, start: int, end: int) -> None:
        """Notes what is in a folder of boxes; "" is the file."""
        for kind, at, begin, after in self._boxes(start, end, cuts=not folder):
            self._kept.keep(at, begin)
            if kind not in _HEIF_KEPT[folder]:
                self._kept.data[at + 4 : at + 8] = b"free"
                continue
            if kind in (b"mdat", b"idat"):
                self._media.append((begin, after))
            elif kind == b"meta":  # which has a version first
                self._kept.keep(begin, begin + 4)
                self.walk(kind, begin + 4, after)
            elif kind in _HEIF_KEPT:
                self.walk(kind, begin, after)
            else:
                self._kept.keep(begin, after)
            if folder in (b"", b"meta") and kind != b"mdat":
                if kind in self._found:
                    raise UnclearError
                self._found[kind] = begin, after

    def cleaned(self) -> bytes:
        """The file, with what the walk has found."""
        boxes = self._found
        kinds = dict(self._kinds(*boxes[b"iinf"])) if b"iinf" in boxes else {}
        if b"moov" in boxes:  # whose tables lead anywhere into them
            for start, end in self._media:
                self._kept.keep(start, end)
        notes = []
        for item, start, length in self._extents() if b"iloc" in boxes else ():
            if kinds.get(item) in _HEIF_NOTES:
                notes.append((kinds[item], start, length))
            else:
                self._kept.keep(start, start + length)
        for kind, start, length in notes:
            # No EXIF at all would be a broken one to some readers.
            said = bytes(4) + _exif(1) if kind == b"Exif" else b""
            self._kept.blank(start, start + length, said)
        return bytes(self._kept.data[: self._end])

    def _boxes(
        self, at: int, end: int, cuts: bool = False
    ) -> Iterator[tuple[bytes, int, int, int]]:
        """Boxes one after the other: kind, where it starts, its content, and its end."""
        while at < end:
            self._steps.take()
            start, after, kind = at + 8, 0, b""
            if start <= end:
                size, kind = unpack_from(">I4s", self._data, at)
                if size == 1:
                    (size,) = unpack_from(">Q", self._data, start)
                    start += 8
                after = at + size if size else end
            if not start <= after <= end:
                if not cuts or b"meta" not in self._found:
                    raise UnclearError
                self._end = at  # what follows is no box
                return
            yield kind, at, start, after
            at = after

    def _kinds(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Kinds of items by number."""
        data = self._data
        start += 6 if data[start] == 0 else 8
        for kind, _, at, _ in self._boxes(start, end):
            if kind == b"infe" and data[at] >= 2:
                wide = 2 if data[at] == 2 else 4
                number = int.from_bytes(data[at + 4 : at + 4 + wide], "big")
                yield number, data[at + 6 + wide : at + 10 + wide]

    def _extents(self) -> Iterator[tuple[int, int, int]]:
        """Where items are: number, offset in the file, length."""
        data, (at, end) = self._data, self._found[b"iloc"]
        version = data[at]
        offsets, lengths, base = data[at + 4] >> 4, data[at + 4] & 15, data[at + 5] >> 4
        indexes = data[at + 5] & 15 if version else 0
        wide = 4 if version == 2 else 2
        at += 6

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
                first += self._found[b"idat"][0]
            for _ in range(number(2)):
                self._steps.take()
                number(indexes)
                offset, length = first + number(offsets), number(lengths)
                if method > 1:  # made of other items
                    continue
                if not length:  # all that there is
                    raise UnclearError
                yield item, offset, length


_FORMATS: dict[str, Callable[[bytes, int, _Steps], bytes]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "BMP": _bmp,
    "TIFF": _tiff,
    "HEIF": _heif,
    "AVIF": _heif,
}
