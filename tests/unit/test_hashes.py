"""The bands of hashes, and the query by them."""

import random
from typing import Any

import pytest

from search_service.hashes import BANDS_FIELD, MAX_DISTANCE, is_hash, similar, with_bands


def matches(query: dict[str, Any], terms: set[str]) -> bool:
    """Whether a document with these terms matches, as Elasticsearch would see it."""
    ((kind, body),) = query.items()
    if kind == "term":
        return body[BANDS_FIELD] in terms
    if kind == "terms":
        return not terms.isdisjoint(body[BANDS_FIELD])
    if "filter" in body:
        return all(matches(each, terms) for each in body["filter"])
    return sum(matches(each, terms) for each in body["should"]) >= body["minimum_should_match"]


@pytest.mark.parametrize("distance", range(MAX_DISTANCE + 1))
def test_a_query_matches_what_differs_in_so_many_bits_and_nothing_else(distance: int) -> None:
    rng = random.Random(distance)
    for _ in range(300):
        value = rng.getrandbits(64)
        query = similar(f"{value:016x}", distance)
        bits = rng.sample(range(64), rng.randint(0, 10))
        if rng.random() < 0.3:  # all in one or two bands
            bits = rng.sample(range(12), min(len(bits), 12))
        other = value ^ sum(1 << bit for bit in bits)

        terms = set(with_bands({"phash": f"{other:016x}"})[BANDS_FIELD])

        assert matches(query, terms) == (len(bits) <= distance)


def test_what_is_no_hash_has_no_bands() -> None:
    for phash in ("", "odd", "8F3C0A7155E29B04", "8f3c0a7155e29b04f"):
        assert not is_hash(phash)
        assert BANDS_FIELD not in with_bands({"phash": phash})
    assert BANDS_FIELD not in with_bands({"image_id": "x", BANDS_FIELD: ["stale"]})
    assert len(set(with_bands({"phash": "0" * 16})[BANDS_FIELD])) == 24
