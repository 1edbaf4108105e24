"""Lists of URLs: text, CSV, JSON lines and Parquet."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagesearch_collect.manifest import Place

SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

_USUAL = {
    "url": ("url", "URL", "image_url", "image", "src"),
    "caption": ("caption", "text", "TEXT"),
    "alt": ("alt",),
    "page_url": ("page_url", "page"),
    "page_title": ("page_title",),
    "tags": ("tags",),
}
_BATCH = 1_024
_MAX_TEXT = 2_000
_MAX_TAGS = 64


class ListError(Exception):
    """The list as a whole cannot be read."""


@dataclass(frozen=True)
class Columns:
    """Which column means what. Empty: the first of its usual names that is there.

    Attributes:
        url: URL of the image.
        caption: Its caption.
        alt: Its alternative text.
        page_url: Page it is on.
        page_title: Title of that page.
        tags: Labels: a list, or text with commas or semicolons between them.
        attributes: Further columns that are kept by their names.
    """

    url: str = ""
    caption: str = ""
    alt: str = ""
    page_url: str = ""
    page_title: str = ""
    tags: str = ""
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A line of a list.

    Attributes:
        url: As it stands there, without white space around it.
        place: What is said of the image.
        line: Number of the line or row, from 1.
    """

    url: str
    place: Place
    line: int


def read_list(path: Path, columns: Columns) -> Iterator[Entry]:
    """Reads a list by its suffix; what has none of SUFFIXES is text, a URL a line.

    A line that cannot be read is given with an empty URL. Memory does not grow with the list.

    Raises:
        ListError: It cannot be opened or is broken, or a column that was named is not there.
    """
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv":
                yield from _csv(path, columns)
            case ".jsonl" | ".ndjson":
                yield from _json_lines(path, columns)
            case ".parquet":
                yield from _parquet(path, columns)
            case _:
                yield from _text(path)
    except (OSError, csv.Error) as error:
        raise ListError(f"{path} cannot be read: {error}") from error


def _text(path: Path) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if (url := line.strip()) and not url.startswith("#"):
                yield Entry(url, Place(), number)


def _csv(path: Path, columns: Columns) -> Iterator[Entry]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file, delimiter=delimiter)
        found = _found(columns, rows.fieldnames or (), path)
        for number, row in enumerate(rows, 1):
            yield _entry(row, found, number)


def _json_lines(path: Path, columns: Columns) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                yield Entry("", Place(), number)
                continue
            yield _entry(row, _found(columns, list(row), None), number)


def _parquet(path: Path, columns: Columns) -> Iterator[Entry]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ListError("to read Parquet, install pyarrow") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            found = _found(columns, file.schema_arrow.names, path)
            wanted = [name for name in vars(found).values() if isinstance(name, str) and name]
            number = 0
            names = list(dict.fromkeys([*wanted, *found.attributes]))
            for batch in file.iter_batches(_BATCH, columns=names):
                for row in batch.to_pylist():
                    number += 1
                    yield _entry(row, found, number)
    except pyarrow.ArrowException as error:
        raise ListError(f"{path} is no Parquet file, or a broken one: {error}") from error


def _found(columns: Columns, names: Sequence[str], path: Path | None) -> Columns:
    """The columns with their names in this list. Without `path`, those that miss are passed over.

    Raises:
        ListError: A column that was named, or that of the URL, is not there.
    """
    chosen: dict[str, str] = {}
    for role, usual in _USUAL.items():
        named = getattr(columns, role)
        options = (named,) if named else usual
        chosen[role] = next((name for name in options if name in names), "")
        if path is not None and not chosen[role] and (named or role == "url"):
            there = ", ".join(map(str, names))
            raise ListError(f"{path} has no column {named or 'url'!r}; it has: {there}")
    attributes = tuple(name for name in columns.attributes if name in names)
    if path is not None and len(attributes) < len(columns.attributes):
        missing = next(name for name in columns.attributes if name not in names)
        raise ListError(f"{path} has no column {missing!r}; it has: {', '.join(map(str, names))}")
    return Columns(**chosen, attributes=attributes)


def _entry(row: dict[str, Any], columns: Columns, number: int) -> Entry:
    place = Place(
        page_url=_words(row.get(columns.page_url)),
        page_title=_words(row.get(columns.page_title)),
        alt=_words(row.get(columns.alt)),
        caption=_words(row.get(columns.caption)),
        tags=_tags(row.get(columns.tags)),
        attributes={
            name: value if isinstance(value, str | int | float | bool) else str(value)
            for name in columns.attributes
            if (value := row.get(name)) not in (None, "")
        },
    )
    url = row.get(columns.url)
    return Entry(url.strip() if isinstance(url, str) else "", place, number)


def _words(value: object) -> str:
    return " ".join(str(value).split())[:_MAX_TEXT] if value is not None else ""


def _tags(value: object) -> tuple[str, ...]:
    parts = value.replace(";", ",").split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return ()
    tags = dict.fromkeys(_words(part) for part in parts)
    return tuple(tag for tag in tags if tag)[:_MAX_TAGS]
