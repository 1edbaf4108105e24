"""What is said of an image: in its path, beside it, in it, in a table."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from PIL import ExifTags, Image

from imagesearch_ingest import embedded, sidecars
from imagesearch_ingest.items import Facts, SourceError
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.metadata import Describing
from imagesearch_ingest.patterns import PathPattern

XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title><rdf:Alt><rdf:li xml:lang="de">Titel</rdf:li>
<rdf:li xml:lang="x-default">A title</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Two boats</rdf:li></rdf:Alt></dc:description>
<dc:subject><rdf:Bag><rdf:li>sea</rdf:li><rdf:li>boat</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""

BOMB = b"""<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>
<x xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>&b;</dc:title></x>"""


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        (
            "{tag}/{caption}.jpg",
            "in/cats/a_small-cat.png",
            Facts(caption="a small cat", tags=("cats",)),
        ),
        ("{tag}/{tag}/*.jpg", "a/b/c.jpg", Facts(tags=("a", "b"))),
        (
            "{attributes.year}/**/{caption}",
            "1999/x/y/z.jpg",
            Facts(caption="z.jpg", attributes={"year": "1999"}),
        ),
        ("{tag}/{caption}.jpg", "no-folder.jpg", Facts()),
        ("shop_{}/{caption}.jpg", "shop_7/red.webp", Facts(caption="red")),
    ],
)
def test_patterns_read_paths(pattern: str, path: str, expected: Facts) -> None:
    assert PathPattern(pattern).facts(path) == expected


def test_a_pattern_names_only_what_there_is() -> None:
    with pytest.raises(SourceError, match="colour"):
        PathPattern("{colour}/x.jpg")


def test_columns_are_mapped() -> None:
    mapping = Mapping.of(["caption=words", "attributes.licence=license", "tags=labels"])

    facts = mapping.facts(
        {
            "words": " a boat ",
            "license": "CC0",
            "labels": "sea, boat",
            "url": "http://x.example/a.jpg",
            "captured_at": "2001-02-03T04:05:06",
            "attributes": {"n": 1, "none": None},
        }
    )

    assert facts == Facts(
        url="http://x.example/a.jpg",
        caption="a boat",
        tags=("sea", "boat"),
        attributes={"n": "1", "licence": "CC0"},
        captured_at=datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC),
    )


@pytest.mark.parametrize("choice", ["caption", "colour=x", "attributes.=x", "caption="])
def test_a_mapping_that_makes_no_sense_is_refused(choice: str) -> None:
    with pytest.raises(SourceError, match="--map"):
        Mapping.of([choice])


def test_xmp_says_caption_title_and_tags() -> None:
    expected = Facts(caption="Two boats", tags=("sea", "boat"), attributes={"title": "A title"})

    assert sidecars.read("a.xmp", XMP, Mapping()) == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xmp", BOMB),
        ("a.xmp", b"no xml"),
        ("a.json", b"[1, 2"),
        ("a.json", b"[" * 100_000),
        ("a.json", b"7"),
    ],
)
def test_a_sidecar_that_makes_no_sense_says_nothing(name: str, content: bytes) -> None:
    assert sidecars.read(name, content, Mapping()) == Facts()


def photo(**save: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "JPEG", **save)  # type: ignore[arg-type]
    return buffer.getvalue()


def test_exif_says_camera_and_place() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Acme\0"
    exif[ExifTags.Base.Model] = "One"
    exif[ExifTags.IFD.GPSInfo] = {
        ExifTags.GPS.GPSLatitude: (52.0, 30.0, 0.0),
        ExifTags.GPS.GPSLatitudeRef: "N",
        ExifTags.GPS.GPSLongitude: (13.0, 15.0, 36.0),
        ExifTags.GPS.GPSLongitudeRef: "W",
    }

    facts = embedded.read(photo(exif=exif.tobytes(), xmp=XMP))

    assert facts.attributes == {
        "camera_make": "Acme",
        "camera_model": "One",
        "gps_latitude": "52.500000",
        "gps_longitude": "-13.260000",
        "title": "A title",
    }
    assert (facts.caption, facts.tags) == ("Two boats", ("sea", "boat"))


def test_iptc_says_caption_and_keywords() -> None:
    def record(number: int, text: bytes) -> bytes:
        return bytes((0x1C, 2, number)) + len(text).to_bytes(2, "big") + text

    iptc = record(120, "Straße".encode()) + record(25, b"one") + record(25, b"two")
    block = b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc
    segment = b"Photoshop 3.0\0" + block
    plain = photo()
    marked = plain[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]

    facts = embedded.read(marked)

    assert (facts.caption, facts.tags) == ("Straße", ("one", "two"))


def test_a_broken_image_says_nothing() -> None:
    assert embedded.read(photo(xmp=XMP)[:40]) == Facts()
    assert embedded.read(b"") == Facts()


def test_what_a_source_says_counts_more_than_the_path_and_the_image() -> None:
    describing = Describing(["mine"], PathPattern("{tag}/{caption}.jpg"))

    upload = describing.upload(photo(xmp=XMP), Facts(relative_path="cats/from-path.jpg"))
    said = describing.upload(b"", Facts(relative_path="cats/x.jpg", caption="said"))

    assert (upload.caption, list(upload.tags)) == ("from path", ["mine", "cats", "sea", "boat"])
    assert (said.caption, list(said.tags)) == ("said", ["mine", "cats"])
