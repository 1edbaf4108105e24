"""Classifiers for labels, remembered: the vectors of the same labels are made once."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from numpy.typing import NDArray

from gateway.classification.background import background, sentences
from gateway.classification.labels import Labels
from gateway.classification.unknown import Background
from gateway.classification.zero_shot import Classifier, ensemble
from gateway.clients.embedder import Embedder
from gateway.errors import NoTextModelError
from service_kit.workers import Workers

MAX_SPACES = 8


class Classifiers:
    """Makes classifiers for labels, and keeps those used last.

    Args:
        embedder: Makes vectors of texts.
        workers: Threads for arithmetic.
        cache_bytes: Most memory that vectors of labels take.
        least_share: See `unknown`.
    """

    def __init__(
        self, embedder: Embedder, workers: Workers, cache_bytes: int, least_share: float
    ) -> None:
        self._embedder = embedder
        self._workers = workers
        self._cache_bytes = cache_bytes
        self._least_share = least_share
        self._made: OrderedDict[tuple[str, bytes], Classifier] = OrderedDict()
        self._bytes = 0
        self._backgrounds: OrderedDict[str, Background] = OrderedDict()
        self._making = asyncio.Lock()

    async def of(self, labels: Labels, space: str) -> Classifier:
        """The classifier for some labels of vectors of a space.

        Raises:
            NoTextModelError: The embedder has no text model of that space.
            ServiceError: The embedder does not answer, or not in time.
        """
        key = (space, labels.digest)
        if (known := self._made.get(key)) is not None:
            self._made.move_to_end(key)
            return known
        model, scale = await self._model(space)
        around = await self._background(model)
        sizes = [len(group) for group in labels.prompts]
        texts = [text for group in labels.prompts for text in group]
        vectors = await self._embed(texts, model)

        def make() -> Classifier:
            return Classifier(ensemble(vectors, sizes), around, scale, self._least_share)

        made = await self._workers.run(make)
        self._remember(key, made)
        return made

    def _remember(self, key: tuple[str, bytes], made: Classifier) -> None:
        if key in self._made:  # somebody else was faster
            return
        self._made[key] = made
        self._bytes += made.nbytes
        while self._bytes > self._cache_bytes and self._made:
            self._bytes -= self._made.popitem(last=False)[1].nbytes

    async def _model(self, space: str) -> tuple[embedder_pb.Model, float]:
        """The text model of a space, and the factor from its cosines to logits."""
        models = [model for model in await self._embedder.models() if model.space == space]
        for model in models:
            if embedder_pb.MODALITY_TEXT in model.modalities:
                scales = (model.logit_scale, *(each.logit_scale for each in models))
                return model, next((scale for scale in scales if scale > 0), 0.0)
        raise NoTextModelError(space)

    async def _background(self, model: embedder_pb.Model) -> Background:
        async with self._making:
            known = self._backgrounds.get(model.space)
            if known is None:
                made = await self._embed(sentences(), model)
                known = background(made.astype(np.float64))
                self._backgrounds[model.space] = known
                if len(self._backgrounds) > MAX_SPACES:
                    self._backgrounds.popitem(last=False)
            return known

    async def _embed(self, texts: Sequence[str], model: embedder_pb.Model) -> NDArray[np.float32]:
        rows: list[NDArray[np.float32]] = []
        async for vectors in self._embedder.embed_texts(texts, model):
            rows += [np.array(vector.values, dtype=np.float32) for vector in vectors]
        return np.stack(rows)
