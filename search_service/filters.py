"""Filter trees to Elasticsearch's query DSL. Pure."""

from typing import Any

from imagesearch.common.v1 import types_pb2 as types

from search_service.hashes import MAX_DISTANCE, is_hash, similar
from service_kit.errors import Violations

# One list and 250 conditions more than clients are told: for callers that add their own.
MAX_DEPTH = 9
MAX_FILTERS = 100
MAX_VALUES = 1_000
MAX_CONDITIONS = 1_250

# Conditions that one on hashes counts for: about what its clauses cost.
_SIMILAR_HASH = 20

_KINDS = {
    "image_id": "text",
    "image_name": "text",
    "relative_path": "text",
    "width": "number",
    "height": "number",
    "format": "text",
    "size_bytes": "number",
    "phash": "text",
    "captured_at": "time",
    "indexed_at": "time",
    "tags": "text",
    "caption": "text",
    "sources.relative_path": "text",
    "sources.url": "text",
    "sources.page_url": "text",
    "sources.first_seen_at": "time",
    "sources.last_seen_at": "time",
}
_ATTRIBUTES = "attributes."

_BOOLEANS = {"all_of": "filter", "any_of": "should", "none_of": "must_not"}


def to_query(tree: types.Filter, path: str, wrong: Violations) -> dict[str, Any]:
    """Turns a filter into a query; notes what is wrong with it.

    Args:
        tree: The filter.
        path: Its path in the request, for violations.
        wrong: Gets what is wrong; the query is of no use if anything was.
    """
    return _Translation(wrong).query(tree, path, MAX_DEPTH)


def facet_field(name: str, path: str, wrong: Violations) -> str:
    """Elasticsearch's name of a field whose values can be counted; notes if they cannot."""
    if _kind(name) != "text":
        known = ", ".join(field for field, kind in _KINDS.items() if kind == "text")
        wrong.add(path, f"{name!r} has no values to count; these have: {known}, {_ATTRIBUTES}KEY")
    return "caption.keyword" if name == "caption" else name


class _Translation:
    def __init__(self, wrong: Violations) -> None:
        self._wrong = wrong
        self._conditions = 0

    def query(self, tree: types.Filter, path: str, depth: int) -> dict[str, Any]:
        kind = tree.WhichOneof("condition")
        more = _SIMILAR_HASH if kind == "similar_hash" else 1
        self._conditions += more
        if self._conditions > MAX_CONDITIONS:
            if self._conditions - more <= MAX_CONDITIONS:
                self._wrong.add(path, f"there are more than {MAX_CONDITIONS} conditions in all")
            return {}
        match kind:
            case None:
                self._wrong.add(path, "has no condition")
                return {}
            case "all_of" | "any_of" | "none_of":
                return self._list(kind, getattr(tree, kind), f"{path}.{kind}", depth)
            case "term":
                field = self._field(tree.term.field, f"{path}.term.field")
                value = self._value(tree.term.value, tree.term.field, f"{path}.term.value")
                return {"term": {field: {"value": value}}}
            case "terms":
                return self._terms(tree.terms, f"{path}.terms")
            case "range":
                return self._range(tree.range, f"{path}.range")
            case "exists":
                self._field(tree.exists.field, f"{path}.exists.field")
                return {"exists": {"field": tree.exists.field}}
            case "prefix":
                return self._prefix(tree.prefix, f"{path}.prefix")
            case "similar_hash":
                return self._similar_hash(tree.similar_hash, f"{path}.similar_hash")

    def _list(self, kind: str, group: types.FilterList, path: str, depth: int) -> dict[str, Any]:
        count = len(group.filters)
        if not 1 <= count <= MAX_FILTERS:
            self._wrong.add(
                f"{path}.filters", f"has {count} filters; 1 to {MAX_FILTERS} are allowed"
            )
            return {}
        if depth == 0:
            self._wrong.add(path, f"is more than {MAX_DEPTH} lists deep")
            return {}
        queries = [
            self.query(item, f"{path}.filters[{i}]", depth - 1)
            for i, item in enumerate(group.filters)
        ]
        return {"bool": {_BOOLEANS[kind]: queries}}

    def _terms(self, condition: types.TermsCondition, path: str) -> dict[str, Any]:
        field = self._field(condition.field, f"{path}.field")
        count = len(condition.values)
        if not 1 <= count <= MAX_VALUES:
            self._wrong.add(f"{path}.values", f"has {count} values; 1 to {MAX_VALUES} are allowed")
            return {}
        values = [
            self._value(value, condition.field, f"{path}.values[{i}]")
            for i, value in enumerate(condition.values)
        ]
        return {"terms": {field: values}}

    def _range(self, condition: types.RangeCondition, path: str) -> dict[str, Any]:
        field = self._field(condition.field, f"{path}.field")
        if _kind(condition.field) == "text":
            self._wrong.add(f"{path}.field", f"{condition.field!r} is neither a number nor a time")
            return {}
        bounds = {
            name: self._value(getattr(condition, name), condition.field, f"{path}.{name}")
            for name in ("gte", "gt", "lte", "lt")
            if condition.HasField(name)
        }
        if not bounds:
            self._wrong.add(path, "has no bound; give gte, gt, lte or lt")
        return {"range": {field: bounds}}

    def _prefix(self, condition: types.PrefixCondition, path: str) -> dict[str, Any]:
        field = self._field(condition.field, f"{path}.field")
        if _kind(condition.field) not in ("text", None):
            self._wrong.add(f"{path}.field", f"{condition.field!r} is not a string field")
        if not condition.prefix:
            self._wrong.add(f"{path}.prefix", "is empty")
        return {"prefix": {field: {"value": condition.prefix}}}

    def _similar_hash(self, condition: types.SimilarHashCondition, path: str) -> dict[str, Any]:
        phash, distance = condition.hash.lower(), condition.max_distance
        hashed, near = is_hash(phash), 0 <= distance <= MAX_DISTANCE
        if not hashed:
            self._wrong.add(f"{path}.hash", "is not a perceptual hash: 16 hex digits")
        if not near:
            what = f"is {distance}; 0 to {MAX_DISTANCE} are allowed"
            self._wrong.add(f"{path}.max_distance", what)
        return similar(phash, distance) if hashed and near else {}

    def _field(self, name: str, path: str) -> str:
        if _kind(name) is None:
            known = ", ".join([*_KINDS, _ATTRIBUTES + "KEY"])
            self._wrong.add(path, f"{name!r} is not a field to filter by; these are: {known}")
        return "caption.keyword" if name == "caption" else name

    def _value(self, value: types.FilterValue, field: str, path: str) -> Any:
        kind, wanted = value.WhichOneof("kind"), _kind(field)
        if kind is None:
            self._wrong.add(path, "is not set")
            return None
        if wanted is not None and kind != wanted:
            self._wrong.add(path, f"is a {kind}; {field!r} needs a {wanted}")
            return None
        if kind == "time":
            try:
                return value.time.ToJsonString()
            except ValueError:
                self._wrong.add(path, "is not a valid time")
                return None
        if kind == "number" and value.number != value.number:
            self._wrong.add(path, "is not a number")
        return getattr(value, kind)


def _kind(field: str) -> str | None:
    """What a field is compared with; None if there is no such field."""
    if field.startswith(_ATTRIBUTES) and len(field) > len(_ATTRIBUTES):
        return "text"
    return _KINDS.get(field)
