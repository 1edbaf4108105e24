"""Pairs of versions to groups of them. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.proof.relations import Relation

_SURE = 0.75
"""A pair at least this sure joins two groups alone."""

_PAIRS_TO_JOIN = 2
"""Less sure ones must be so many."""

_OTHER_WAY = {
    Relation.CROPPED: Relation.WIDER,
    Relation.WIDER: Relation.CROPPED,
    Relation.PADDED: Relation.CROPPED,
}
"""Relations that are others seen from the other side."""


@dataclass(frozen=True)
class Pair:
    """Two images that are forms of one picture.

    Attributes:
        a: Id of the one.
        b: Id of the other, greater than `a`.
        relation: What `b` is to `a`, what says most.
        confidence: How sure it is, 0 to 1.
        joins: Whether what is the same picture as the one is so as the other: not if one is a
            collage, which is the same as each of its parts.
    """

    a: str
    b: str
    relation: Relation
    confidence: float
    joins: bool = True

    def seen_from(self, image_id: str) -> Relation:
        """What the other image is to one of the two."""
        return self.relation if image_id == self.a else turned_round(self.relation)


def turned_round(relation: Relation) -> Relation:
    """What a query is to an image that has this relation to it."""
    return _OTHER_WAY.get(relation, relation)


class Sets:
    """Disjoint sets of ids, each with one id that names it.

    Union by size and path halving (Tarjan and van Leeuwen 1984, "Worst-Case Analysis of Set Union
    Algorithms").
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._sizes: Counter[str] = Counter()

    def find(self, item: str) -> str:
        """The id that names an item's set; the item's own, if it was never joined."""
        parent = self._parents.setdefault(item, item)
        while parent != item:
            self._parents[item] = self._parents[parent]
            item, parent = parent, self._parents[parent]
        return item

    def size(self, item: str) -> int:
        """How many are in an item's set."""
        return self._sizes[self.find(item)] or 1

    def join(self, one: str, other: str) -> None:
        """Makes one set of two."""
        one, other = self.find(one), self.find(other)
        if one == other:
            return
        total = self.size(one) + self.size(other)
        if self.size(one) < self.size(other):
            one, other = other, one
        self._parents[other] = one
        self._sizes[one] = total

    def all(self) -> list[list[str]]:
        """The sets of two and more, each sorted, in the order of their first."""
        groups: dict[str, list[str]] = {}
        for item in sorted(self._parents):
            groups.setdefault(self.find(item), []).append(item)
        return [group for group in groups.values() if len(group) > 1]


def groups(pairs: Iterable[Pair], min_confidence: float) -> list[list[str]]:
    """Puts images together that are forms of one picture: ids, sorted.

    Pairs are taken the surest first. A single image joins by one pair; two groups are joined
    only by a pair that is sure, or by several: one mistaken pair merges no two pictures.

    Args:
        pairs: In any order; the result does not depend on it.
        min_confidence: Only pairs at least this sure count.
    """
    usable = sorted(
        (each for each in pairs if each.joins and each.confidence >= min_confidence),
        key=lambda each: (-each.confidence, each.a, each.b),
    )
    sets = Sets()
    weak: list[Pair] = []
    for pair in usable:
        alone = 1 in (sets.size(pair.a), sets.size(pair.b))
        if alone or pair.confidence >= _SURE:
            sets.join(pair.a, pair.b)
        else:
            weak.append(pair)
    _join_by_several(sets, weak)
    return sets.all()


def _join_by_several(sets: Sets, weak: Sequence[Pair]) -> None:
    """Joins groups that several weak pairs connect, until none are left."""
    while True:
        between: Counter[tuple[str, str]] = Counter()
        for pair in weak:
            one, other = sorted((sets.find(pair.a), sets.find(pair.b)))
            if one != other:
                between[one, other] += 1
        several = [ends for ends, count in between.items() if count >= _PAIRS_TO_JOIN]
        if not several:
            return
        for one, other in several:
            sets.join(one, other)
