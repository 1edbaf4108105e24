"""The labelled images of an index that are nearest to an image."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as search_pb
from numpy.typing import NDArray

from gateway.classification.voting import chance_level
from gateway.clients.search import Search

SAMPLE = 200
"""Images that tell how alike any two are."""

_KEPT_S = 60.0
_KEPT_INDEXES = 32


class Neighbors:
    """Finds neighbours, and what similarity is no more than chance.

    Args:
        search: Finds vectors.
        clock: Seconds that only grow.
    """

    def __init__(self, search: Search, clock: Callable[[], float] = time.monotonic) -> None:
        self._search = search
        self._clock = clock
        self._samples: OrderedDict[str, tuple[float, _Sample]] = OrderedDict()

    async def nearest(
        self, index: str, vector: types.Vector, count: int, filter: types.Filter | None, but: str
    ) -> Sequence[search_pb.SearchHit]:
        """Finds the nearest images, nearest first.

        Args:
            index: Where.
            vector: Of the image in question.
            count: Most of them.
            filter: Only images that match; None: all.
            but: Id of an image that is not meant; "": none.
        """
        more = 1 if but else 0
        request = search_pb.SearchRequest(index=index, vector=vector, k=count + more, filter=filter)
        hits = await self._search.knn(request)
        return [hit for hit in hits if hit.document.image_id != but][:count]

    async def chance(self, index: str, vector: types.Vector, but: str) -> float:
        """The similarity that the image has to any image of the index.

        Args:
            index: Which.
            vector: Of the image in question.
            but: Its id; "" where it has none.
        """
        sample = await self._sample(index)
        if not sample.image_ids or sample.space != vector.space:
            return 0.0
        others = np.array([image_id != but for image_id in sample.image_ids])
        return chance_level((sample.vectors @ np.array(vector.values))[others])

    async def _sample(self, index: str) -> "_Sample":
        """Images of an index, at random: ids are hashes, so the first ones are as good as any."""
        known = self._samples.get(index)
        if known is not None and self._clock() - known[0] < _KEPT_S:
            return known[1]
        request = search_pb.ListDocumentsRequest(
            index=index, fields=["image_id"], include_vectors=True, page_size=SAMPLE
        )
        documents = (await self._search.listed(request)).documents
        sample = _Sample(documents)
        self._samples[index] = (self._clock(), sample)
        self._samples.move_to_end(index)
        if len(self._samples) > _KEPT_INDEXES:
            self._samples.popitem(last=False)
        return sample


class _Sample:
    def __init__(self, documents: Sequence[search_pb.ListedDocument]) -> None:
        self.image_ids = [each.document.image_id for each in documents]
        self.space = documents[0].vector.space if documents else ""
        rows = [np.array(each.vector.values, dtype=np.float64) for each in documents]
        self.vectors: NDArray[np.float64] = np.stack(rows) if rows else np.zeros((0, 0))


def labels_of(document: types.Document, field: str, known_as: dict[str, str]) -> list[str]:
    """What a document is labelled with, each name once.

    Args:
        document: The document.
        field: "tags" or "attributes.KEY".
        known_as: Names of labels by what else they are called, in lower case.
    """
    if field == "tags":
        found: Sequence[str] = document.tags
    else:
        value = document.attributes.get(field.removeprefix("attributes."), "")
        found = [value] if value else []
    return list(dict.fromkeys(known_as.get(label.casefold(), label) for label in found))
