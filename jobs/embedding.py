"""One shard after another on one GPU: read, decode ahead, embed in batches, write."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from numpy.typing import NDArray

from embedder_service.devices import find_devices
from embedder_service.loading import load
from embedder_service.model import ClipModel, ImageTower
from embedder_service.settings import Settings
from gateway import wire
from gateway.pictures import Pictures
from image_kit.decoding import ImageLimits
from imagesearch_ingest.items import Facts, Item, RefusedError, Unlisted, Unusable
from imagesearch_ingest.metadata import Describing
from imagesearch_ingest.opening import Opening
from imagesearch_ingest.search_client import Row
from jobs.checkpoints import Checkpoints, ShardResult
from jobs.writing import Writer
from service_kit.errors import ServiceError

_BATCH = 500


@dataclass(frozen=True)
class Plan:
    """What is done with every shard.

    Attributes:
        image_model: Folder or hub name.
        text_model: Of the same space; it is what the space's name is checked with.
        opening: How shards are opened.
        describing: How images are described.
        writer: Where documents go.
        checkpoints: URL of the checkpoints.
        job: See `Checkpoints`.
        decoders: Threads that decode, for each GPU.
    """

    image_model: str
    text_model: str
    opening: Opening
    describing: Describing
    writer: Writer
    checkpoints: str
    job: str
    decoders: int = 4


@dataclass
class _Shard:
    """What has become of a shard so far."""

    url: str
    refused: list[tuple[str, str]] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class _Decoded:
    """An image as the model takes it, and what is known of it."""

    document: types.Document
    square: NDArray[np.uint8]


class ShardEmbedder:
    """Embeds shards. Ray makes one for each GPU and calls it with shard after shard.

    Args:
        plan: What is done.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        settings = Settings(image_model=plan.image_model, text_model=plan.text_model)
        # The first device that it sees: Ray shows each of its workers the GPUs that are its own.
        self._model: ClipModel = load(settings, find_devices("auto")[:1])[0]
        self._tower: ImageTower = self._model.images.towers[0]
        self._limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels)
        self._pictures = Pictures(self._limits)
        self._threads = ThreadPoolExecutor(plan.decoders, thread_name_prefix="decode")
        self._checkpoints = Checkpoints(plan.checkpoints, plan.job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embeds and writes shards: {"shard": URLs} to what became of each."""
        results = [self.shard(str(url)) for url in batch["shard"]]
        return {
            "shard": [result.shard for result in results],
            "documents": [result.documents for result in results],
            "refused": [len(result.refused) for result in results],
            "error": [result.error for result in results],
        }

    def shard(self, url: str) -> ShardResult:
        """Embeds and writes one shard, and notes that it is done."""
        if (before := self._checkpoints.read(url)) is not None:
            return before
        info = self._model.infos[0]
        index = index_pb.Index(space=info.space)
        index.options.dimensions = info.dimensions
        shard = _Shard(url)
        try:
            stored = asyncio.run(self._plan.writer.write(url, index, self._batches(shard)))
        except Exception as error:  # this shard's own: the others go on
            return ShardResult(url, 0, error=f"{type(error).__name__}: {error}")
        refused = (*shard.refused, *stored.refused)
        result = ShardResult(url, stored.documents, refused, shard.error)
        self._checkpoints.write(result)
        return result

    def _batches(self, shard: _Shard) -> Iterator[list[Row]]:
        rows: list[Row] = []
        for row in self._rows(shard):
            rows.append(row)
            if len(rows) >= _BATCH:
                yield rows
                rows = []
        if rows:
            yield rows

    def _rows(self, shard: _Shard) -> Iterator[Row]:
        """Images are decoded two batches ahead of the model."""
        size = self._model.images.max_batch
        ahead: deque[tuple[str, Future[_Decoded]]] = deque()
        ready: list[_Decoded] = []
        for key, content, facts in self._images(shard):
            ahead.append((key, self._threads.submit(self._decode, content, facts)))
            if len(ahead) >= 2 * size + self._plan.decoders:
                self._take(shard, ahead, ready)
            if len(ready) >= size:
                yield from self._embedded(ready)
                ready = []
        while ahead:
            self._take(shard, ahead, ready)
            if len(ready) >= size or (ready and not ahead):
                yield from self._embedded(ready)
                ready = []
        if ready:
            yield from self._embedded(ready)

    def _take(
        self, shard: _Shard, ahead: deque[tuple[str, "Future[_Decoded]"]], ready: list[_Decoded]
    ) -> None:
        key, future = ahead.popleft()
        try:
            ready.append(future.result())
        except (RefusedError, ServiceError) as error:
            shard.refused.append((key, str(error)))

    def _embedded(self, ready: list[_Decoded]) -> Iterator[Row]:
        vectors = self._tower.encode([one.square for one in ready])
        for one, vector in zip(ready, vectors, strict=True):
            yield one.document, vector

    def _images(self, shard: _Shard) -> Iterator[tuple[str, bytes, Facts]]:
        source = self._plan.opening.open(shard.url)
        for listed in source.items(lambda *_: False):
            if isinstance(listed, Unusable):
                shard.refused.append((listed.key, listed.reason))
            elif isinstance(listed, Unlisted):
                shard.error = listed.reason
            elif isinstance(listed, Item):
                try:
                    yield listed.key, listed.read(), listed.facts()
                except RefusedError as error:
                    shard.refused.append((listed.key, str(error)))

    def _decode(self, content: bytes, facts: Facts) -> _Decoded:
        """Makes what the gateway makes of an image, and what the embedder does.

        Raises:
            ServiceError: It cannot be used.
        """
        upload = wire.upload(self._plan.describing.upload(content, facts), self._limits)
        seen = self._pictures.prepare(content)
        document = types.Document()
        document.CopyFrom(upload.document)
        document.image_id = hashlib.sha256(content).hexdigest()
        document.size_bytes = len(content)
        document.width, document.height = seen.width, seen.height
        document.format, document.phash = seen.format, seen.phash
        if seen.captured_at is not None and not document.HasField("captured_at"):
            document.captured_at.FromDatetime(seen.captured_at)
        return _Decoded(document, self._tower.recipe.prepare(content, self._limits))
