"""How many pixels an encoded image has, by its header and in Python alone.

For whoever must know before anything is decoded, in a process where strangers' bytes must not
reach native code. The answer is never less than the decoder's own: see `pixels_of`.
"""

from collections.abc import Callable, Iterator
from struct import error as StructError
from struct import unpack_from

_MOST_STEPS = 500
"""Segments, chunks, blocks or entries of one file that are looked at: half a millisecond's work."""

_MOST_META_BYTES = 256 * 1024


class _UnclearError(Exception):
    """The header does not say it in the usual way."""


def pixels_of(data: bytes, most: int) -> int:
    """Counts the pixels of the picture that would be decoded.

    The decoder may take less, never more, whatever the bytes are: a file that names two sizes, or
    begins like two formats, counts by the larger. A reader that is content with the first size it
    finds, as those of libraries are, would not do: a PNG may say 1 x 1 and then 8000 x 8000, and
    Pillow takes the last.

    What begins like a format that is decoded, but is broken, odd or endless in its header, counts
    as the largest image that is allowed: it might be one. So does an image that says that it is
    larger, which will be refused. What begins like none will not be decoded and counts nothing.

    Args:
        data: The file. Only its header is looked at, and a bounded part of that.
        most: Most pixels that an image may have.

    Returns:
        0 to `most`.
    """
    pixels = 0
    for place, beginnings, count in _FORMATS:
        if data.startswith(beginnings, place):
            try:
                pixels = max(pixels, count(data))
            except (_UnclearError, StructError, IndexError, OverflowError):
                return most
    return min(pixels, most)


def _jpeg(data: bytes) -> int:
    at, pixels = 2, 0
    for _ in range(_MOST_STEPS):
        at = data.find(b"\xff", at)  # what is between segments is passed over
        if at < 0:
            break
        marker = data[at + 1]
        if marker == 0xDA:  # the scan begins
            return pixels
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _JPEG_ALONE:
            at += 2
        else:
            if marker in _JPEG_FRAMES:
                height, width = unpack_from(">HH", data, at + 5)
                pixels = max(pixels, width * height)
            (length,) = unpack_from(">H", data, at + 2)
            at += 2 + max(length, 2)
    raise _UnclearError


_JPEG_FRAMES = {*range(0xC0, 0xD0), 0xDE} - {0xC4, 0xC8, 0xCC}
# Pillow passes over these two bytes alone, also where a length would follow.
_JPEG_ALONE = {*range(0xC0), 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)}


def _png(data: bytes) -> int:
    at, pixels = 8, 0
    for _ in range(_MOST_STEPS):
        length, kind = unpack_from(">I4s", data, at)
        if kind in (b"IDAT", b"fdAT", b"IEND"):
            return pixels
        if kind == b"IHDR":
            width, height = unpack_from(">II", data, at + 8)
            pixels = max(pixels, width * height)
        at += 12 + length
    raise _UnclearError


def _gif(data: bytes) -> int:
    """The first frame may be larger than the screen, and is taken as it is."""
    width, height, flags = unpack_from("<HHB", data, 6)
    at = 13 + (2 << (flags & 7)) * 3 * (flags >> 7)
    steps = iter(range(_MOST_STEPS))
    for _ in steps:
        if data[at] == ord(","):
            left, top, wide, high = unpack_from("<4H", data, at + 1)
            return int(max(width, left + wide) * max(height, top + high))
        if data[at] != ord("!"):
            break
        at = _after_gif_extension(data, at, steps)
    raise _UnclearError


def _after_gif_extension(data: bytes, at: int, steps: Iterator[int]) -> int:
    # Pillow reads on behind an extension that has less than is usual.
    usual = {0xFE: 0, 0xFF: 2}.get(data[at + 1], 1)
    at += 2
    for _ in steps:
        if not (length := data[at]):
            if usual > 0:
                break
            return at + 1
        at += 1 + length
        usual -= 1
    raise _UnclearError


def _bmp(data: bytes) -> int:
    (header_size,) = unpack_from("<I", data, 14)
    if header_size == 12:
        width, height = unpack_from("<HH", data, 18)
    else:
        width, height = unpack_from("<Ii", data, 18)
    return int(width * abs(height))


def _webp(data: bytes) -> int:
    kind = data[12:16] if data.startswith(b"RIFF") else b""
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = unpack_from("<HBHB", data, 24)
        return int((1 + low_width + (high_width << 16)) * (1 + low_height + (high_height << 16)))
    if kind == b"VP8 ":
        width, height = unpack_from("<HH", data, 26)
        return int((width & 0x3FFF) * (height & 0x3FFF))
    if kind == b"VP8L":
        (bits,) = unpack_from("<I", data, 21)
        return int((1 + (bits & 0x3FFF)) * (1 + (bits >> 14 & 0x3FFF)))
    raise _UnclearError


def _tiff(data: bytes) -> int:
    order, big = "<" if data.startswith(b"II") else ">", data[2] == 43
    if data[3] == 43:  # a large TIFF to some, a broken one to others
        raise _UnclearError
    (at,) = unpack_from(order + "Q", data, 8) if big else unpack_from(order + "L", data, 4)
    (entries,) = unpack_from(order + ("Q" if big else "H"), data, at)
    at += 8 if big else 2
    sides = {256: 0, 257: 0}
    for _ in range(min(entries, _MOST_STEPS + 1)):
        tag, kind, count = unpack_from(order + ("HHQ" if big else "HHL"), data, at)
        if tag in sides:
            if count != 1 or kind not in _TIFF_WHOLE_NUMBERS:
                raise _UnclearError
            place = at + (12 if big else 8)
            (side,) = unpack_from(order + _TIFF_WHOLE_NUMBERS[kind], data, place)
            sides[tag] = max(sides[tag], side)
        at += 20 if big else 12
    if entries > _MOST_STEPS or 0 in sides.values():
        raise _UnclearError
    return sides[256] * sides[257]


_TIFF_WHOLE_NUMBERS = {3: "H", 4: "L"}


def _heif(data: bytes) -> int:
    """AVIF and HEIC: the largest of all items, of which the picture is one or is made."""
    at, pixels = 0, 0
    for _ in range(_MOST_STEPS):
        if at == len(data):
            break
        size, kind = unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            head = 16
            (size,) = unpack_from(">Q", data, at + 8)
        end = at + size if size else len(data)
        # Of pictures in a row the size is said elsewhere.
        if kind == b"moov" or not at + head <= end <= len(data):
            break
        if kind == b"meta":
            if pixels:
                break
            pixels = _largest_item(data, at + head, end)
        at = end
    if not pixels or at < len(data):
        raise _UnclearError
    return pixels


def _largest_item(data: bytes, start: int, end: int) -> int:
    pixels = 0
    if end - start <= _MOST_META_BYTES:
        for _ in range(_MOST_STEPS):
            if (start := data.find(b"ispe", start, end)) < 0:
                break
            width, height = unpack_from(">II", data, start + 8)
            pixels = max(pixels, width * height)
            start += 4
        else:
            raise _UnclearError
    if not pixels:
        raise _UnclearError
    return pixels


_FORMATS: tuple[tuple[int, bytes | tuple[bytes, ...], Callable[[bytes], int]], ...] = (
    (0, b"\xff\xd8\xff", _jpeg),
    (0, b"\x89PNG\r\n\x1a\n", _png),
    (8, b"WEBP", _webp),
    (0, (b"GIF87a", b"GIF89a"), _gif),
    (4, b"ftyp", _heif),
    (
        0,
        (b"MM\0\x2a", b"II\x2a\0", b"MM\x2a\0", b"II\0\x2a", b"MM\0\x2b", b"II\x2b\0"),
        _tiff,
    ),
    (0, b"BM", _bmp),
)
"""Where and how each format of `reading.FORMATS` begins, and who counts its pixels."""
