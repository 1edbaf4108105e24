"""Pages of an index, and the images near each of a page's: pairs that may be versions."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import search_service_pb2 as search_pb
from PIL import Image

from gateway.candidates import Candidate, both
from gateway.clients.search import Search
from gateway.forms import unframed_hashes
from gateway.pictures import Pictures
from gateway.store import THUMBNAIL, ImageStore
from image_kit.decoding import ImageError
from service_kit.workers import Workers

PAGE = 50
"""Images looked at together; two searches each go in one request."""

_SAMPLE = 100
_FIELDS = ("width", "height", "phash")

# Neighbours an image that are worth a comparison, on average. Those less alike are not compared.
_WORTH = 2.0

# Alike enough to be compared however many there are: in an index that is full of duplicates.
_ALIKE = 0.98

_HASH_DISTANCE = 3
_UNFRAMED_DISTANCE = 5


@dataclass(frozen=True)
class DuplicateSearch:
    """What duplicates are looked for.

    Attributes:
        index: In which index.
        narrowed: Only among images that match; None: all.
        max_neighbors: With how many neighbours each image is compared.
    """

    index: str
    narrowed: types.Filter | None
    max_neighbors: int

    @property
    def digest(self) -> str:
        """Stands for all of it: a scan is gone on with only for the same."""
        narrowed = b"-"
        if self.narrowed is not None:
            narrowed = self.narrowed.SerializeToString(deterministic=True)
        text = f"{self.index}/{self.max_neighbors}/".encode() + narrowed
        return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True)
class Page:
    """Images that follow each other by id.

    Attributes:
        images: What is near them included, by id.
        near: Of each image of the page, in order: those that may be versions of it, by id.
        is_last: None come after it.
    """

    images: Mapping[str, Candidate]
    near: dict[str, Sequence[str]]
    is_last: bool


class NearImages:
    """Finds what is near.

    Args:
        search: Has the vectors and hashes.
        store: Has the thumbnails.
        workers: Threads that look at these.
        pictures: Decodes them.
    """

    def __init__(
        self, search: Search, store: ImageStore, workers: Workers, pictures: Pictures
    ) -> None:
        self._search = search
        self._store = store
        self._workers = workers
        self._pictures = pictures

    async def count(self, wanted: DuplicateSearch) -> int:
        """Counts the images to look at.

        Raises:
            ServiceError: There is no such index, or the filter is wrong.
        """
        request = search_pb.CountDocumentsRequest(index=wanted.index, filter=wanted.narrowed)
        return await self._search.count(request)

    async def threshold(self, wanted: DuplicateSearch) -> float:
        """Score from which on neighbours are worth a comparison, as this index has scores.

        What is near to what depends on model and pictures; so a sample's neighbours are looked
        at, and the bar put where few of them an image lie above it.
        """
        # Ids are digests, so those that follow one are a random sample; always the same.
        listed = list(await self._listed(wanted, wanted.digest, _SAMPLE))
        if len(listed) < _SAMPLE:
            known = {each.document.image_id for each in listed}
            first = await self._listed(wanted, "", _SAMPLE - len(listed))
            listed += [each for each in first if each.document.image_id not in known]
        found = await self._near(wanted, listed, None)
        scores = [
            hit.score
            for document, hits in zip(listed, found, strict=True)
            for hit in hits
            if hit.document.image_id != document.document.image_id
        ]
        return threshold(scores, len(listed))

    async def page(self, wanted: DuplicateSearch, after: str, least: float) -> Page:
        """Reads the images that come after an id, and what is near them.

        Args:
            wanted: What is looked for.
            after: An id; "": the first images.
            least: Only neighbours with at least this score, or with much the same hash.
        """
        listed = await self._listed(wanted, after, PAGE)
        by_vector = await self._near(wanted, listed, least)
        by_hash = await self._alike(wanted, listed)
        images: dict[str, Candidate] = {}
        near: dict[str, Sequence[str]] = {}
        for each, *found in zip(listed, by_vector, by_hash, strict=True):
            itself = each.document
            documents = [hit.document for hits in found for hit in hits]
            images |= {each.image_id: _candidate(each) for each in (itself, *documents)}
            near[itself.image_id] = sorted(
                {each.image_id for each in documents} - {itself.image_id}
            )
        return Page(images, near, len(listed) < PAGE)

    async def _listed(
        self, wanted: DuplicateSearch, after: str, size: int
    ) -> Sequence[search_pb.ListedDocument]:
        request = search_pb.ListDocumentsRequest(
            index=wanted.index,
            filter=wanted.narrowed,
            fields=_FIELDS,
            include_vectors=True,
            page_size=size,
            page_token=after,
        )
        return (await self._search.listed(request)).documents

    async def _near(
        self,
        wanted: DuplicateSearch,
        listed: Iterable[search_pb.ListedDocument],
        least: float | None,
    ) -> list[Sequence[search_pb.SearchHit]]:
        requests = [
            search_pb.SearchRequest(
                index=wanted.index,
                vector=each.vector,
                k=wanted.max_neighbors + 1,
                filter=wanted.narrowed,
                fields=_FIELDS,
                min_score=least,
            )
            for each in listed
        ]
        return await self._search.knn_all(requests) if requests else []

    async def _alike(
        self, wanted: DuplicateSearch, listed: Sequence[search_pb.ListedDocument]
    ) -> list[Sequence[search_pb.SearchHit]]:
        """What has much the same hash as each, or as what is within its frame.

        A frame moves a vector far, and a hash altogether; without it the hash is as it was.
        """
        inner = await asyncio.gather(
            *(self._unframed_hashes(wanted.index, each.document.image_id) for each in listed)
        )
        known = [
            [(each.document.phash, _HASH_DISTANCE)] * (len(each.document.phash) == 16)
            + [(phash, _UNFRAMED_DISTANCE) for phash in hashes]
            for each, hashes in zip(listed, inner, strict=True)
        ]
        hashed = [(each, hashes) for each, hashes in zip(listed, known, strict=True) if hashes]
        requests = [
            search_pb.SearchRequest(
                index=wanted.index,
                vector=each.vector,
                k=wanted.max_neighbors + 1,
                filter=both(wanted.narrowed, _hashed_like(hashes)),
                fields=_FIELDS,
            )
            for each, hashes in hashed
        ]
        found = await self._search.knn_all(requests) if requests else []
        by_id = {
            each.document.image_id: hits for (each, _), hits in zip(hashed, found, strict=True)
        }
        return [by_id.get(each.document.image_id, ()) for each in listed]

    async def _unframed_hashes(self, index: str, image_id: str) -> list[str]:
        """The hashes of what is within an image's frame; none without one, or a thumbnail."""
        thumbnail = await self._store.read(index, THUMBNAIL, image_id)
        return [] if thumbnail is None else await self._workers.run(self._hashes_within, thumbnail)

    def _hashes_within(self, thumbnail: bytes) -> list[str]:
        try:
            return unframed_hashes(Image.fromarray(self._pictures.pixels(thumbnail)))
        except ImageError:
            return []


def threshold(scores: Sequence[float], images: int) -> float:
    """The score that so few neighbours an image reach that they can all be compared.

    Args:
        scores: Of the neighbours of some images.
        images: How many images.

    Returns:
        -1 to 1; at most what is alike for sure.
    """
    worth = int(_WORTH * images)
    if worth >= len(scores):
        return -1.0
    return min(_ALIKE, sorted(scores, reverse=True)[worth])


def _candidate(document: types.Document) -> Candidate:
    return Candidate(document.image_id, document.width, document.height)


def _hashed_like(hashes: Iterable[tuple[str, int]]) -> types.Filter:
    conditions = [
        types.Filter(similar_hash=types.SimilarHashCondition(hash=phash, max_distance=distance))
        for phash, distance in hashes
    ]
    return types.Filter(any_of=types.FilterList(filters=conditions))
