"""What a scan found: groups, each with the image to keep."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from imagesearch.common.v1 import types_pb2 as types

from gateway.clients.search import Search
from gateway.duplicates.grouping import Pair
from gateway.proof.relations import Relation
from gateway.versions import earliest, largest

_AT_A_TIME = 500

_LARGE_GROUP_BYTES = 4 * 1024 * 1024
"""Of groups beyond, no more is shown of an image than it takes to tell which it is."""

_LITTLE = ("image_id", "image_name", "relative_path", "width", "height", "format", "size_bytes")


class Keep(Enum):
    """Which image of a group is to be kept."""

    LARGEST = "largest"
    OLDEST = "oldest"


@dataclass(frozen=True)
class Member:
    """An image of a group.

    Attributes:
        document: What is known of it.
        relation: What it is to the image to keep; None for that one, and where the two were not
            compared.
        confidence: How sure that it is the same picture as another one of the group.
    """

    document: types.Document
    relation: Relation | None
    confidence: float


@dataclass(frozen=True)
class Group:
    """Images that are forms of one picture, the one to keep first."""

    members: list[Member]

    @property
    def reclaimable_bytes(self) -> int:
        """Bytes that deleting all but the first would free."""
        return sum(member.document.size_bytes for member in self.members[1:])


class Reporter:
    """Reads what is known of groups.

    Args:
        search: Has the documents.
    """

    def __init__(self, search: Search) -> None:
        self._search = search

    async def ranked(
        self, index: str, groups: Sequence[Sequence[str]], keep: Keep
    ) -> list[tuple[int, list[str]]]:
        """Sorts groups by the bytes that they would free, most first.

        Images that were deleted meanwhile are left out, and so are groups of which fewer than
        two images are left.

        Returns:
            Of each group: the bytes, and its ids, the one to keep first.
        """
        ranked = []
        for some in _chunks(groups):
            documents = await self._documents(index, some)
            for group in some:
                found = [documents[each] for each in group if each in documents]
                if len(found) >= 2:
                    kept = kept_of(found, keep)
                    others = [each for each in found if each is not kept]
                    size = sum(each.size_bytes for each in others)
                    ranked.append((size, [each.image_id for each in (kept, *others)]))
        return sorted(ranked, key=lambda each: (-each[0], each[1]))

    async def groups(
        self, index: str, ranked: Sequence[Sequence[str]], pairs: Iterable[Pair]
    ) -> AsyncGenerator[Group]:
        """Gives groups with what is known of their images, in the same order.

        Args:
            index: Name of the index.
            ranked: Ids of each group's images, the one to keep first.
            pairs: All that are proven.
        """
        near: dict[str, list[Pair]] = {}
        for pair in pairs:
            near.setdefault(pair.a, []).append(pair)
            near.setdefault(pair.b, []).append(pair)
        for some in _chunks(ranked):
            documents = await self._documents(index, some)
            for ids in some:
                members = _members([documents[each] for each in ids if each in documents], near)
                if len(members) >= 2 and members[0].document.image_id == ids[0]:
                    yield Group(members)

    async def _documents(
        self, index: str, groups: Iterable[Sequence[str]]
    ) -> dict[str, types.Document]:
        ids = [image_id for group in groups for image_id in group]
        documents: dict[str, types.Document] = {}
        for begin in range(0, len(ids), _AT_A_TIME):
            for found in await self._search.documents(index, ids[begin : begin + _AT_A_TIME]):
                if found is not None:
                    documents[found.document.image_id] = found.document
        return documents


def kept_of(documents: Sequence[types.Document], keep: Keep) -> types.Document:
    """The image of a group that is suggested to be kept."""
    kept = earliest(documents) if keep is Keep.OLDEST else largest(documents)
    assert kept is not None
    return kept


def _members(
    documents: Sequence[types.Document], near: Mapping[str, Sequence[Pair]]
) -> list[Member]:
    ids = {each.image_id for each in documents}
    is_large = sum(each.ByteSize() for each in documents) > _LARGE_GROUP_BYTES
    members = []
    for document in documents:
        image_id = document.image_id
        pairs = [each for each in near.get(image_id, ()) if {each.a, each.b} <= ids]
        kept = documents[0].image_id
        relation = next(
            (
                each.seen_from(kept)
                for each in pairs
                if image_id != kept and kept in (each.a, each.b)
            ),
            None,
        )
        confidence = max((each.confidence for each in pairs if each.joins), default=0.0)
        members.append(Member(_little(document) if is_large else document, relation, confidence))
    return members


def _little(document: types.Document) -> types.Document:
    return types.Document(**{name: getattr(document, name) for name in _LITTLE})


def _chunks(groups: Sequence[Sequence[str]]) -> Iterable[list[Sequence[str]]]:
    """Splits into lists of groups of some hundred images in all."""
    some: list[Sequence[str]] = []
    size = 0
    for group in groups:
        some.append(group)
        size += len(group)
        if size >= _AT_A_TIME:
            yield some
            some, size = [], 0
    if some:
        yield some
