"""search_service.merge: what becomes of a document when the same bytes are met again."""

from typing import Any

from search_service.merge import MAX_SOURCES, merged


def seen(path: str, first: str, last: str | None = None) -> dict[str, Any]:
    return {"relative_path": path, "first_seen_at": first, "last_seen_at": last or first}


MONDAY = "2026-01-05T10:00:00Z"
MONDAY_NOON = "2026-01-05T12:00:00Z"
FRIDAY = "2026-01-09T10:00:00Z"


def test_seen_again_the_same_day_nothing_is_written() -> None:
    old = {"image_id": "a", "indexed_at": MONDAY, "sources": [seen("a.jpg", MONDAY)]}
    new = {"image_id": "a", "indexed_at": MONDAY_NOON, "sources": [seen("a.jpg", MONDAY_NOON)]}

    assert merged(old, new) is None


def test_seen_again_later_only_the_time_changes() -> None:
    old = {"indexed_at": MONDAY, "sources": [seen("a.jpg", MONDAY)]}
    new = {"indexed_at": FRIDAY, "sources": [seen("a.jpg", FRIDAY)]}

    assert merged(old, new) == {"indexed_at": MONDAY, "sources": [seen("a.jpg", MONDAY, FRIDAY)]}


def test_an_earlier_sight_that_becomes_known_later() -> None:
    old = {"sources": [seen("a.jpg", FRIDAY)]}
    new = {"sources": [seen("a.jpg", MONDAY)]}

    assert merged(old, new) == {"sources": [seen("a.jpg", MONDAY, FRIDAY)]}


def test_the_first_name_stays_and_what_was_unknown_is_filled_in() -> None:
    old = {"image_name": "a.jpg", "width": 3, "sources": [seen("a.jpg", MONDAY)]}
    new = {"image_name": "b.jpg", "phash": "0f", "sources": [seen("b.jpg", FRIDAY)]}

    assert merged(old, new) == {
        "image_name": "a.jpg",
        "width": 3,
        "phash": "0f",
        "sources": [seen("a.jpg", MONDAY), seen("b.jpg", FRIDAY)],
    }


def test_tags_and_attributes_are_joined_and_a_caption_replaced() -> None:
    old = {"tags": ["a", "b"], "attributes": {"x": "1", "y": "1"}, "caption": "old"}
    new = {"tags": ["b", "c"], "attributes": {"y": "2"}, "caption": "new"}

    assert merged(old, new) == {
        "tags": ["a", "b", "c"],
        "attributes": {"x": "1", "y": "2"},
        "caption": "new",
    }


def test_of_too_many_sources_the_earliest_are_kept() -> None:
    old = {"sources": [seen(f"{n}.jpg", FRIDAY) for n in range(MAX_SOURCES)]}
    new = {"sources": [seen("first.jpg", MONDAY), seen("late.jpg", FRIDAY)]}

    both = merged(old, new)

    assert both is not None
    assert len(both["sources"]) == MAX_SOURCES
    paths = {source["relative_path"] for source in both["sources"]}
    assert "first.jpg" in paths
    assert "late.jpg" not in paths
