"""What becomes of a document when the same bytes are met again. Pure."""

from datetime import datetime, timedelta
from typing import Any

from search_service.hashes import with_bands
from search_service.records import Source

MAX_SOURCES = 1_000
MAX_TAGS = 1_000

# A source seen again within this time is not written again, so that indexing the same
# folder twice costs Elasticsearch nothing.
LAST_SEEN_STEP = timedelta(days=1)


def merged(old: Source, new: Source) -> Source | None:
    """Joins what is known with what is new.

    The first name and path stay. Sources and tags are joined; a new caption, and
    new values of attributes, replace the old; what was not known is filled in.

    Args:
        old: As Elasticsearch has it.
        new: As `records.to_record` gives it.

    Returns:
        The document to write; None if it would not differ from `old`.
    """
    both = {**new, **old}
    both["sources"] = _sources(old.get("sources", []), new.get("sources", []))
    both["tags"] = list(dict.fromkeys([*old.get("tags", []), *new.get("tags", [])]))[:MAX_TAGS]
    both["attributes"] = {**old.get("attributes", {}), **new.get("attributes", {})}
    if "caption" in new:
        both["caption"] = new["caption"]
    both = with_bands({name: value for name, value in both.items() if value not in ([], {})})
    return None if both == old else both


def _sources(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Joins sources by place; the earliest are kept where there are too many."""
    by_place = {_place(source): source for source in old}
    for source in new:
        known = by_place.get(_place(source))
        by_place[_place(source)] = source if known is None else _seen_again(known, source)
    if len(by_place) <= MAX_SOURCES:
        return list(by_place.values())
    earliest = sorted(by_place.values(), key=lambda source: _time(source["first_seen_at"]))
    return earliest[:MAX_SOURCES]


def _place(source: dict[str, Any]) -> tuple[str, ...]:
    return tuple(source.get(name, "") for name in ("relative_path", "url", "page_url"))


def _seen_again(known: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    seen = dict(known)
    if _time(again["first_seen_at"]) < _time(known["first_seen_at"]):
        seen["first_seen_at"] = again["first_seen_at"]
    if _time(again["last_seen_at"]) >= _time(known["last_seen_at"]) + LAST_SEEN_STEP:
        seen["last_seen_at"] = again["last_seen_at"]
    return seen


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
