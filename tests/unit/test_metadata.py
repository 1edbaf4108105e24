"""image_kit.metadata: what is taken out of a file, and that its picture stays the same."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from image_kit import reading
from image_kit.metadata import UnclearError, without_metadata
from image_kit.reading import ImageLimits, read
from tests.helpers import a_picture

LIMITS = ImageLimits()
SECRET = b"secret"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>a secret place</a></x:xmpmeta>'


def exif(orientation: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[0x010E] = "a secret description"
    made[0x0112] = orientation
    made.get_ifd(0x8769)[0x927C] = b"secret maker's note" * 20
    gps = made.get_ifd(0x8825)
    gps[1], gps[2], gps[29] = "N", (47.0, 22.0, 13.0), "secret day"
    return made


def a_file(kind: str, orientation: int = 1) -> bytes:
    """A picture that says things beside, in every way that Pillow can write."""
    said = {"exif": exif(orientation), "icc_profile": PROFILE}
    if kind in {"JPEG", "MPO"}:
        said |= {"comment": b"a secret comment", "xmp": XMP}
    elif kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "a secret text")
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        text.add_text("More", "a secret text, compressed" * 10, zip=True)
        said |= {"pnginfo": text}
    elif kind == "GIF":
        said = {"comment": b"a secret comment"}
    elif kind == "TIFF":
        said |= {"tiffinfo": {270: "a secret description", 700: XMP, 34377: b"secret" * 9}}
    else:
        said |= {"xmp": XMP}
    if kind == "MPO":
        other = Image.open(io.BytesIO(a_picture(9, 96)))
        return a_picture(3, 96, "MPO", save_all=True, append_images=[other], **said)
    return a_picture(3, 96, kind, **said)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(read(data, LIMITS).picture)


def stripped(data: bytes) -> bytes:
    image = read(data, LIMITS)
    return without_metadata(data, image.format, image.orientation)


KINDS = [*(kind for kind in reading.FORMATS if kind != "BMP"), "MPO"]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_said_is_gone_and_the_picture_is_the_same(kind: str, orientation: int) -> None:
    data = a_file(kind, orientation)
    assert SECRET in data

    rest = stripped(data)

    assert SECRET not in rest
    assert SECRET not in repr(Image.open(io.BytesIO(rest)).info).encode()
    assert not Image.open(io.BytesIO(rest)).getexif().get_ifd(0x8825)
    assert (decoded(rest) == decoded(data)).all()
    assert read(rest, LIMITS).orientation == read(data, LIMITS).orientation
    assert stripped(rest) == rest
    if kind not in {"GIF", "MPO"}:  # which have none
        assert Image.open(io.BytesIO(rest)).info["icc_profile"] == PROFILE


@pytest.mark.parametrize("kind", [kind for kind in reading.FORMATS if kind != "HEIF"])
def test_a_file_that_says_nothing_stays_as_it_is(kind: str) -> None:
    data = a_picture(3, 96, kind)

    assert stripped(data) == data


def test_animations_go_on_moving() -> None:
    frames = [Image.open(io.BytesIO(a_picture(seed, 64))) for seed in range(4)]
    for kind, more in (("GIF", {"comment": b"secret"}), ("PNG", {}), ("WEBP", {"xmp": XMP})):
        buffer = io.BytesIO()
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], loop=0, **more)

        rest = Image.open(io.BytesIO(stripped(buffer.getvalue())))

        assert rest.n_frames == 4  # type: ignore[attr-defined]
        assert rest.info["loop"] == 0
        for number, frame in enumerate(frames):
            rest.seek(number)
            told, was = np.asarray(rest.convert("RGB")), np.asarray(frame.convert("RGB"))
            assert np.abs(told.astype(int) - was).mean() < 12


def test_what_follows_the_picture_is_cut_off() -> None:
    for kind in ("JPEG", "PNG", "GIF"):
        data = a_picture(3, 96, kind)

        assert stripped(data + b"secret") == data


def test_a_thumbnail_in_the_header_is_left_out() -> None:
    data = a_picture(3, 96, "JPEG")
    thumbnail = b"secret" * 2
    header = b"\xff\xe0" + struct.pack(">H", 16 + 12) + data[6:18] + b"\x02\x02" + thumbnail
    assert data[2:4] == b"\xff\xe0"

    rest = stripped(data[:2] + header + data[20:])

    assert rest == data


def test_a_progressive_one_has_several_scans() -> None:
    data = a_picture(3, 96, "JPEG", progressive=True, exif=exif())

    rest = stripped(data)

    assert SECRET not in rest
    assert (decoded(rest) == decoded(data)).all()


def test_pages_of_a_tiff_and_a_big_one() -> None:
    pages = [Image.open(io.BytesIO(a_picture(seed, 64))) for seed in range(3)]
    buffer = io.BytesIO()
    pages[0].save(
        buffer,
        "TIFF",
        save_all=True,
        append_images=pages[1:],
        big_tiff=True,
        tiffinfo={270: "a secret description"},
        exif=exif(),
    )

    rest = Image.open(io.BytesIO(stripped(buffer.getvalue())))

    assert SECRET not in stripped(buffer.getvalue())
    assert rest.n_frames == 3  # type: ignore[attr-defined]
    rest.seek(2)
    assert (np.asarray(rest) == np.asarray(pages[2])).all()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("JPEG", b"\xff\xd8garbage"),
        ("JPEG", a_picture(3, 96, "JPEG")[:-2]),
        ("PNG", a_picture(3, 96, "PNG")[:-20]),
        ("WEBP", a_picture(3, 96, "WEBP")[:-2]),
        ("GIF", a_picture(3, 96, "GIF")[:-20]),
        ("TIFF", b"II*\0\xff\xff\xff\x7f"),
        ("TIFF", b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0"),
        ("AVIF", a_picture(3, 96, "AVIF")[:-20]),
        ("PPM", b"P6"),
    ],
)
def test_what_is_not_built_in_the_usual_way_is_unclear(kind: str, data: bytes) -> None:
    with pytest.raises(UnclearError):
        without_metadata(data, kind, 1)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def tiff(*entries: tuple[int, int, int, int], rest: bytes = b"") -> bytes:
    """A grey picture of 4 x 4 in one strip; tag, kind, count and value of more entries."""
    known = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    strip = 8 + 2 + 12 * (len(known) + 4 + len(entries)) + 4
    known += [(273, 4, 1, strip), (277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16)]
    folder = b"".join(struct.pack("<HHII", *each) for each in sorted([*known, *entries]))
    count = struct.pack("<H", len(folder) // 12)
    return b"II*\0\x08\0\0\0" + count + folder + bytes(4) + bytes(range(16)) + rest


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("HEIF", box(b"mpvd", b"a film with a secret place")),  # what motion photos have
        ("AVIF", box(b"free", SECRET)),
        ("AVIF", box(b"moov", box(b"meta", bytes(4) + box(b"ilst", SECRET)))),
        ("AVIF", SECRET),
        ("BMP", SECRET),
        ("TIFF", SECRET),
    ],
)
def test_what_is_no_part_of_the_picture_is_not_kept(kind: str, end: bytes) -> None:
    data = a_picture(3, 96, kind) + end

    rest = stripped(data)

    assert SECRET not in rest
    assert (decoded(rest) == decoded(data)).all()


def test_what_nothing_leads_to_in_a_tiff_is_not_kept() -> None:
    data = tiff(rest=b"left over by an editor: secret")

    assert SECRET not in stripped(data)
    assert (decoded(stripped(data)) == decoded(data)).all()


def test_a_tag_that_covers_the_picture_takes_nothing_of_it_away() -> None:
    data = tiff((700, 1, 16, 8 + 2 + 12 * 10 + 4))

    assert (decoded(stripped(data)) == decoded(data)).all()


@pytest.mark.parametrize(
    "data",
    [
        a_picture(3, 96, "GIF")[:-1],
        a_picture(3, 96, "GIF")[:-1] + b"\0;",
        a_picture(3, 96, "PNG")[:-12],
        a_picture(3, 96, "JPEG")[:20] + b"\0" * 9 + a_picture(3, 96, "JPEG")[20:],
        b"\xff\xd8\xff\xe0\0\x09JFIF\0\1\1" + a_picture(3, 96, "JPEG")[2:],
    ],
    ids=["GIF without end", "GIF, padded", "PNG without end", "JPEG, padded", "short JFIF"],
)
def test_what_decoders_take_lightly_is_put_right(data: bytes) -> None:
    rest = stripped(data)

    assert len(rest) - len(data) <= 12
    assert (decoded(rest) == decoded(data)).all()
    assert stripped(rest) == rest


@pytest.mark.parametrize("turned", [3, 6])
def test_where_only_xmp_tells_how_it_is_turned_it_is_unclear(turned: int) -> None:
    xmp = b'<x:xmpmeta tiff:Orientation="%d"/>' % turned
    for data in (
        a_picture(3, 96, "TIFF", tiffinfo={700: xmp}),
        a_picture(3, 96, "AVIF", xmp=xmp),
    ):
        with pytest.raises(UnclearError):
            stripped(data)


def iloc(extents: int, length: int) -> bytes:
    """20 places of EXIF, each made of many extents; or of such that take no room in the list."""
    sizes = b"\x44\0" if length else b"\0\0"
    extent = struct.pack(">II", 0, length) if length else b""
    items = b"".join(
        struct.pack(">HHH", item, 0, extents) + extent * extents for item in range(1, 21)
    )
    infos = b"".join(
        box(b"infe", b"\2\0\0\0" + struct.pack(">HH", item, 0) + b"Exif\0") for item in range(1, 21)
    )
    iinf = box(b"iinf", bytes(4) + struct.pack(">H", 20) + infos)
    return box(b"meta", bytes(4) + iinf + box(b"iloc", bytes(4) + sizes + b"\0\x14" + items))


FTYP = box(b"ftyp", b"avif\0\0\0\0avif")
EMPTY_FOLDERS = struct.pack("<HHII", 330, 4, 400_000, 26)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("AVIF", FTYP + iloc(65_535, 0)),
        ("AVIF", FTYP + iloc(500, 100_000) + box(b"mdat", bytes(200_000))),
        ("AVIF", FTYP + 2 * box(b"meta", bytes(4))),
        ("AVIF", FTYP + box(b"free", b"") * 400_000),
        ("TIFF", b"II*\0\x08\0\0\0\1\0" + EMPTY_FOLDERS + bytes(4) + b"\x18\0\0\0" * 400_000),
        (
            "WEBP",
            b"RIFF" + struct.pack("<I", 8 * 400_000 + 4) + b"WEBP" + b"xxxx\0\0\0\0" * 400_000,
        ),
        ("GIF", a_picture(3, 96, "GIF")[:-1] + b"!\xfe" + b"\1a" * 400_000 + b"\0;"),
    ],
    ids=["extents without size", "large extents", "two lists", "boxes", "folders", "WebP", "GIF"],
)
def test_what_would_take_too_long_is_unclear(kind: str, data: bytes) -> None:
    with pytest.raises(UnclearError):
        without_metadata(data, kind, 1)


def test_boxes_in_boxes_do_no_harm() -> None:
    nested = b""
    for _ in range(3_000):
        nested = box(b"moov", nested)
    data = a_picture(3, 96, "AVIF") + nested

    assert (decoded(stripped(data)) == decoded(data)).all()
