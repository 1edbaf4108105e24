"""Filters that read like sentences.

field("tags").is_in("cat", "dog") & (field("width") >= 1000) & ~(field("format") == "GIF")
"""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from imagesearch.common.v1 import types_pb2 as types

Value = str | int | float | datetime
"""What fields are compared with. Times need a time zone."""


class Filter:
    """A condition on images. Combine with `&` (and), `|` (or) and `~` (not).

    Attributes:
        message: The condition as the contract has it.
    """

    def __init__(self, message: types.Filter) -> None:
        self.message = message

    def __and__(self, other: Filter) -> Filter:
        both = [*_parts(self, "all_of"), *_parts(other, "all_of")]
        return Filter(types.Filter(all_of=types.FilterList(filters=both)))

    def __or__(self, other: Filter) -> Filter:
        either = [*_parts(self, "any_of"), *_parts(other, "any_of")]
        return Filter(types.Filter(any_of=types.FilterList(filters=either)))

    def __invert__(self) -> Filter:
        none = [self.message]
        return Filter(types.Filter(none_of=types.FilterList(filters=none)))

    def __bool__(self) -> bool:
        raise TypeError("a filter is neither true nor false; combine with &, | and ~")


class Field:
    """A field of an image, to compare.

    Args:
        name: As Document has it: "tags", "width", "captured_at", "attributes.KEY", "sources.url", …
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self._name = name

    def __eq__(self, value: Value) -> Filter:  # type: ignore[override]
        term = types.TermCondition(field=self._name, value=_value(value))
        return Filter(types.Filter(term=term))

    def __ne__(self, value: Value) -> Filter:  # type: ignore[override]
        return ~(self == value)

    def __ge__(self, value: Value) -> Filter:
        return self._range(gte=_value(value))

    def __gt__(self, value: Value) -> Filter:
        return self._range(gt=_value(value))

    def __le__(self, value: Value) -> Filter:
        return self._range(lte=_value(value))

    def __lt__(self, value: Value) -> Filter:
        return self._range(lt=_value(value))

    def is_in(self, *values: Value) -> Filter:
        """It has one of these values."""
        listed = [_value(value) for value in values]
        return Filter(types.Filter(terms=types.TermsCondition(field=self._name, values=listed)))

    def between(self, least: Value, most: Value) -> Filter:
        """It lies within these, both included."""
        return self._range(gte=_value(least), lte=_value(most))

    def starts_with(self, prefix: str) -> Filter:
        """It starts with this; case counts."""
        condition = types.PrefixCondition(field=self._name, prefix=prefix)
        return Filter(types.Filter(prefix=condition))

    def exists(self) -> Filter:
        """It has any value."""
        return Filter(types.Filter(exists=types.ExistsCondition(field=self._name)))

    def _range(self, **bounds: types.FilterValue) -> Filter:
        return Filter(types.Filter(range=types.RangeCondition(field=self._name, **bounds)))


def field(name: str) -> Field:
    """A field to compare: `field("width") >= 1000`."""
    return Field(name)


def message_of(condition: Filter | types.Filter | None) -> types.Filter | None:
    """The condition as the contract has it."""
    return condition.message if isinstance(condition, Filter) else condition


def _parts(condition: Filter, kind: str) -> list[types.Filter]:
    """`a & b & c` is one list of three, not a list in a list."""
    message = condition.message
    if message.WhichOneof("condition") != kind:
        return [message]
    joined: types.FilterList = getattr(message, kind)
    return list(joined.filters)


def _value(value: Value) -> types.FilterValue:
    if isinstance(value, str):
        return types.FilterValue(text=value)
    if isinstance(value, datetime):
        return types.FilterValue(time=timestamp(value))
    return types.FilterValue(number=value)


def timestamp(time: datetime) -> Timestamp:
    """A time as the contract has it.

    Raises:
        ValueError: It has no time zone.
    """
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone; give one, e.g. tzinfo=datetime.UTC")
    made = Timestamp()
    made.FromDatetime(time)
    return made
