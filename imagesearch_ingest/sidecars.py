"""Files beside an image that say what it is: JSON, XMP, plain text."""

import json
from collections.abc import Callable
from typing import Any

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from imagesearch_ingest.items import Facts
from imagesearch_ingest.mapping import Mapping

SUFFIXES = (".json", ".xmp", ".txt")
"""In the order in which they count."""

MAX_BYTES = 1024 * 1024

_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def names(image: str) -> list[str]:
    """What sidecars of an image may be called: `photo.jpg.json`, then `photo.json`."""
    stem = image.rpartition(".")[0]
    return [base + suffix for suffix in SUFFIXES for base in (image, stem)]


def read(name: str, content: bytes, mapping: Mapping) -> Facts:
    """Reads a sidecar. One that makes no sense says nothing."""
    for suffix, reader in _READERS.items():
        if name.lower().endswith(suffix) and len(content) <= MAX_BYTES:
            return reader(content, mapping)
    return Facts()


def _json(content: bytes, mapping: Mapping) -> Facts:
    try:
        record: Any = json.loads(content)
    except (ValueError, RecursionError):
        return Facts()
    return mapping.facts(record) if isinstance(record, dict) else Facts()


def _txt(content: bytes, mapping: Mapping) -> Facts:
    return Facts(caption=content.decode(errors="replace").strip("\ufeff\0 \t\r\n"))


def _xmp(content: bytes, mapping: Mapping) -> Facts:
    return xmp(content)


def xmp(content: bytes) -> Facts:
    """Reads an XMP packet: dc:description or else dc:title as the caption, dc:subject as tags.

    Where both are there, the title is kept as the attribute "title". Entities are not expanded.
    """
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError):
        return Facts()
    description, title = _first(root, "description"), _first(root, "title")
    return Facts(
        caption=description or title,
        tags=tuple(dict.fromkeys(_all(root, "subject"))),
        attributes={"title": title} if title and description else {},
    )


def _all(root: Any, name: str) -> list[str]:
    found = [each.text for part in root.iter(_DC + name) for each in part.iter(_RDF + "li")]
    return [text.strip() for text in found if text and text.strip()]


def _first(root: Any, name: str) -> str:
    """The text in the default language, or else any."""
    entries = [each for part in root.iter(_DC + name) for each in part.iter(_RDF + "li")]
    entries.sort(key=lambda each: each.get(_XML_LANG) != "x-default")
    text = next((each.text for each in entries if each.text and each.text.strip()), "")
    return text.strip()


_READERS: dict[str, Callable[[bytes, Mapping], Facts]] = {
    ".json": _json,
    ".xmp": _xmp,
    ".txt": _txt,
}
