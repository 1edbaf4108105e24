"""What the RPCs that say what is in a picture do: each reads as its steps."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

import numpy as np
from imagesearch.gateway.v1 import classification_pb2 as pb

from gateway.classification import identifying, wire
from gateway.classification.classifiers import Classifiers
from gateway.classification.label_sets import LabelSet
from gateway.classification.neighbors import Neighbors
from gateway.classification.resuming import from_token, request_digest
from gateway.classification.tagging import Job, Tagging
from gateway.errors import LabelSetNotFoundError
from gateway.query_images import QueryImages
from service_kit.errors import InvalidRequestError, Violations
from service_kit.workers import Workers


class ClassificationRpcs:
    """Classifies images.

    Args:
        images: Gets the images that requests name.
        classifiers: Tell what images are, by texts.
        neighbors: Finds images that are alike.
        tagging: Classifies the images of an index.
        label_sets: By name.
        workers: Threads for arithmetic.
    """

    def __init__(
        self,
        images: QueryImages,
        classifiers: Classifiers,
        neighbors: Neighbors,
        tagging: Tagging,
        label_sets: Mapping[str, LabelSet],
        workers: Workers,
    ) -> None:
        self._images = images
        self._classifiers = classifiers
        self._neighbors = neighbors
        self._tagging = tagging
        self._label_sets = label_sets
        self._choices = wire.Choices(label_sets)
        self._workers = workers

    async def classify(self, request: pb.ClassifyRequest) -> pb.ClassifyResponse:
        wrong = Violations()
        source = wire.source(request, wrong)
        most = wire.count(request, "top_k", wire.DEFAULT_TOP_K, wire.MAX_TOP_K, wrong)
        labels = self._choices.chosen(request, wrong)
        wrong.raise_if_any()
        assert labels is not None
        vector = await self._images.vector(source)
        classifier = await self._classifiers.of(labels, vector.space)
        image = np.array([vector.values], dtype=np.float32)
        scores = await self._workers.run(classifier.scores, image)
        return pb.ClassifyResponse(
            labels=wire.label_scores(labels, scores, 0, scores.ranked(0, most)),
            unknown_probability=scores.unknown[0],
            unknown=scores.is_unknown(0),
        )

    async def classify_batch(
        self, request: pb.ClassifyBatchRequest
    ) -> AsyncIterator[pb.ClassifyBatchResponse]:
        wrong = Violations()
        index = wire.index(request, wrong)
        least = wire.min_probability(request, wrong)
        most = wire.count(request, "top_k", 1, wire.MAX_TAGS, wrong)
        prefix = wire.tag_prefix(request, wrong)
        labels = self._choices.chosen(request, wrong)
        wrong.raise_if_any()
        assert labels is not None
        digest = request_digest(request, labels)
        place = from_token(request.resume_token, digest, wrong)
        wrong.raise_if_any()
        only = request.filter if request.HasField("filter") else None
        job = Job(index, only, labels, request.write_tags, prefix, least, most, digest)
        async with aclosing(self._tagging.answers(job, place)) as answers:
            async for answer in answers:
                yield answer

    async def identify(self, request: pb.IdentifyRequest) -> pb.IdentifyResponse:
        wrong = Violations()
        source = wire.source(request, wrong)
        most = wire.count(request, "top_k", wire.DEFAULT_TOP_K, wire.MAX_TOP_K, wrong)
        count = wire.count(
            request, "neighbor_count", wire.DEFAULT_NEIGHBORS, wire.MAX_NEIGHBORS, wrong
        )
        field = wire.label_field(request, wrong)
        labels = self._choices.chosen(request, wrong, required=False)
        wrong.raise_if_any()
        vector = await self._images.vector(source)
        itself = source.name if source.kind == "image_id" else ""
        only = request.filter if request.HasField("filter") else None
        hits = await self._neighbors.nearest(source.index, vector, count, only, itself)
        chance = await self._neighbors.chance(source.index, vector, itself)
        zero_shot = None
        if labels is not None:
            classifier = await self._classifiers.of(labels, vector.space)
            image = np.array([vector.values], dtype=np.float32)
            zero_shot = await self._workers.run(classifier.scores, image)
        return identifying.response(labels, zero_shot, hits, field, chance, most)

    async def list_label_sets(self, request: pb.ListLabelSetsRequest) -> pb.ListLabelSetsResponse:
        return pb.ListLabelSetsResponse(
            label_sets=[wire.label_set(each) for each in self._label_sets.values()]
        )

    async def get_label_set(self, request: pb.GetLabelSetRequest) -> pb.GetLabelSetResponse:
        if not request.name:
            raise InvalidRequestError([("name", "is empty")])
        found = self._label_sets.get(request.name)
        if found is None:
            raise LabelSetNotFoundError(request.name)
        return pb.GetLabelSetResponse(
            label_set=wire.label_set(found), labels=wire.to_message(found.labels)
        )
