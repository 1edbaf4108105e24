"""Records (a JSON object, a row of a table, a line of a manifest) as facts of an image."""

import json
from collections.abc import Mapping as Record
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imagesearch_ingest.items import Facts, SourceError

NAMES: dict[str, tuple[str, ...]] = {
    "relative_path": ("relative_path", "path", "file_name", "filename"),
    "image_name": ("image_name",),
    "url": ("url",),
    "page_url": ("page_url",),
    "caption": ("caption", "text", "description", "alt"),
    "tags": ("tags", "keywords"),
    "captured_at": ("captured_at",),
}
"""Where each field is looked for, if nothing else is said; the first that is there counts."""

IMAGE = ("image", "jpg", "jpeg", "png", "webp", "bytes")
"""Columns that an image's bytes are looked for in."""

_ATTRIBUTE = "attributes."


@dataclass(frozen=True)
class Mapping:
    """Which field comes from which column.

    Attributes:
        columns: Columns by field, as the user chose.
        attributes: Columns by key of `attributes`.
    """

    columns: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, choices: Sequence[str]) -> "Mapping":
        """Reads choices such as "caption=text" or "attributes.licence=license".

        Raises:
            SourceError: One is not of this form, or names no field.
        """
        columns: dict[str, str] = {}
        attributes: dict[str, str] = {}
        for choice in choices:
            name, _, column = choice.partition("=")
            if name.startswith(_ATTRIBUTE) and name != _ATTRIBUTE and column:
                attributes[name.removeprefix(_ATTRIBUTE)] = column
            elif column and (name in NAMES or name == "image"):
                columns[name] = column
            else:
                fields = ", ".join((*NAMES, "image", "attributes.KEY"))
                raise SourceError(f"--map {choice}: give FIELD=COLUMN, FIELD one of {fields}")
        return cls(columns, attributes)

    def wanted(self, columns: Sequence[str]) -> list[str]:
        """Those of a table's columns that facts are made of."""
        names = {name for several in NAMES.values() for name in several} | {"attributes"}
        chosen = {*self.columns.values(), *self.attributes.values()}
        return [name for name in columns if name in names | chosen]

    def facts(self, record: Record[str, Any]) -> Facts:
        """Reads a record; what is not there, or of no use, is left out."""
        attributes = record.get("attributes")
        own = attributes.items() if isinstance(attributes, Record) else _pairs(attributes)
        mapped = [(key, record.get(column)) for key, column in self.attributes.items()]
        return Facts(
            relative_path=_text(self._value(record, "relative_path")),
            image_name=_text(self._value(record, "image_name")),
            url=_text(self._value(record, "url")),
            page_url=_text(self._value(record, "page_url")),
            caption=_text(self._value(record, "caption")),
            tags=_labels(self._value(record, "tags")),
            attributes={str(k): text for k, v in (*own, *mapped) if (text := _text(v))},
            captured_at=_time(self._value(record, "captured_at")),
        )

    def _value(self, record: Record[str, Any], name: str) -> Any:
        if name in self.columns:
            return record.get(self.columns[name])
        return next((value for each in NAMES[name] if (value := record.get(each))), None)


def _text(value: Any) -> str:
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, str):
        return value.strip().encode(errors="replace").decode()
    return json.dumps(value, ensure_ascii=False, default=str)


def _labels(value: Any) -> tuple[str, ...]:
    """A list of labels, or a text that has commas between them."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, Sequence):
        return ()
    return tuple(dict.fromkeys(text for each in value if (text := _text(each))))


def _pairs(value: Any) -> list[tuple[str, Any]]:
    """A map as tables give it: a list of pairs."""
    if not isinstance(value, list):
        return []
    return [(pair[0], pair[1]) for pair in value if isinstance(pair, tuple) and len(pair) == 2]


def _time(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
