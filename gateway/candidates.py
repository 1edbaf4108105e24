"""Images that may be versions of a query: by its vector, those of its other forms, and its hash."""

from collections.abc import Sequence
from dataclasses import dataclass

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as search_pb

from gateway.clients.search import Search
from gateway.version_queries import VersionQuery

_HASH_DISTANCE = 5
"""Bits in which the hashes of versions may differ: as many as search_service allows."""

_FIELDS = ("width", "height")

# How much a list counts against those of other forms, which are many, and each right for few.
_WEIGHT = 4.0
_FIRST = 1e6


@dataclass(frozen=True)
class Candidate:
    """An image that may be a version.

    Attributes:
        image_id: Its id.
        width: In pixels.
        height: In pixels.
    """

    image_id: str
    width: int
    height: int


class Candidates:
    """Finds candidates.

    Args:
        search: Finds vectors and hashes.
    """

    def __init__(self, search: Search) -> None:
        self._search = search

    async def find(
        self,
        query: VersionQuery,
        index: str,
        narrowed: types.Filter | None,
        most: int,
        field: str,
    ) -> list[Candidate]:
        """Finds candidates, the likeliest first; the query itself among them if it is stored.

        Args:
            query: What versions are looked for of.
            index: Name of the index.
            narrowed: Only images that match; None: any.
            most: How many.
            field: Where in our caller's request the image is.

        Raises:
            ServiceError: The index is not there, of another model, or the filter is wrong.
        """
        itself = types.Filter(
            term=types.TermCondition(field="image_id", value=types.FilterValue(text=query.image_id))
        )
        alike = types.Filter(
            any_of=types.FilterList(
                filters=[
                    types.Filter(
                        similar_hash=types.SimilarHashCondition(
                            hash=each, max_distance=_HASH_DISTANCE
                        )
                    )
                    for each in dict.fromkeys(query.hashes)
                ]
            )
        )

        def by(
            vector: types.Vector, condition: types.Filter | None = None
        ) -> search_pb.SearchRequest:
            return search_pb.SearchRequest(
                index=index,
                vector=vector,
                k=most,
                filter=both(narrowed, condition),
                fields=_FIELDS,
            )

        requests = [by(query.vector), by(query.vector, itself), by(query.vector, alike)]
        requests += [by(vector) for vector in query.other_vectors]
        lists = await self._search.knn_all(requests, [("vector", field)])
        weights = [_WEIGHT, _FIRST, _WEIGHT] + [1.0] * len(query.other_vectors)
        known = {
            hit.document.image_id: Candidate(
                hit.document.image_id, hit.document.width, hit.document.height
            )
            for hits in lists
            for hit in hits
        }
        ranked = [[hit.document.image_id for hit in hits] for hits in lists]
        return [known[each] for each in interleaved(ranked, weights, most)]


def both(one: types.Filter | None, other: types.Filter | None) -> types.Filter | None:
    """A filter for what two of them match; None matches all."""
    if one is None or other is None:
        return one or other
    return types.Filter(all_of=types.FilterList(filters=[one, other]))


def interleaved(lists: Sequence[Sequence[str]], weights: Sequence[float], most: int) -> list[str]:
    """Joins ranked lists in turns, a list of twice the weight twice as fast.

    A sum over lists, as of reciprocal ranks, would prefer what is a little like all forms of the
    query; a version is much like one of them.

    Args:
        lists: Of ids, the best first.
        weights: Of each list.
        most: How many ids to give.
    """
    places: dict[str, float] = {}
    for ranked, weight in zip(lists, weights, strict=True):
        for rank, each in enumerate(ranked, 1):
            places[each] = min(places.get(each, rank / weight), rank / weight)
    return sorted(places, key=lambda each: places[each])[:most]
