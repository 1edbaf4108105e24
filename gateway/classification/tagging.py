"""ClassifyBatch: every image of an index by its stored vector, in the order of ids."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import grpc
import numpy as np
import structlog
from google.rpc import code_pb2, status_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import classification_pb2 as pb
from imagesearch.search.v1 import search_service_pb2 as search_pb
from numpy.typing import NDArray

from gateway.classification import wire
from gateway.classification.classifiers import Classifiers
from gateway.classification.labels import Labels
from gateway.classification.resuming import Place, to_token
from gateway.classification.zero_shot import Scores
from gateway.clients.search import BulkSearch, Search
from gateway.errors import ContentNotFoundError
from service_kit.errors import ServiceError, StoppingError
from service_kit.workers import Workers

PAGE = 500
CHUNK = 100
"""Documents written in one message; two messages are under way at a time."""

_FINAL = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
"""Of writes that failed so, another attempt would change nothing."""

_MOVES = (("document.tags", "labels"), ("document.", ""))

log = structlog.get_logger()


@dataclass(frozen=True)
class Job:
    """What to do with the images of an index.

    Attributes:
        index: Its name.
        filter: Only images that match; None: all.
        labels: What they may be.
        write_tags: Write the likeliest to their tags.
        tag_prefix: Put before each tag.
        min_probability: Labels less likely are left out.
        top_k: Most labels of an image.
        digest: Of the request, for its tokens.
    """

    index: str
    filter: types.Filter | None
    labels: Labels
    write_tags: bool
    tag_prefix: str
    min_probability: float
    top_k: int
    digest: str


class Tagging:
    """Classifies the images of indexes, and tags them.

    Args:
        search: Has the images' vectors.
        classifiers: Tell what they are.
        workers: Threads for arithmetic.
        stopping: Set when the server stops: streams then end after what they have begun.
    """

    def __init__(
        self,
        search: Search,
        classifiers: Classifiers,
        workers: Workers,
        stopping: asyncio.Event,
    ) -> None:
        self._search = search
        self._classifiers = classifiers
        self._workers = workers
        self._stopping = stopping

    async def answers(self, job: Job, place: Place) -> AsyncGenerator[pb.ClassifyBatchResponse]:
        """Answers for each image.

        No more is read ahead than a page, and no more written than two messages.

        Raises:
            ServiceError: It cannot go on; what was answered is done.
        """
        if place.total < 0:
            counted = search_pb.CountDocumentsRequest(index=job.index, filter=job.filter)
            place = replace(place, total=await self._search.count(counted))
        run = _Run(place)
        async with self._search.bulk() as bulk:
            page_token = place.page_token
            while True:
                page = await self._search.listed(_page_request(job, page_token))
                rows = [row for row in page.documents if row.document.image_id > place.after]
                run.page_token = page_token
                async with aclosing(self._answer_page(job, rows, bulk, run)) as answers:
                    async for answer in answers:
                        yield answer
                page_token = page.next_page_token
                if not page_token:
                    if run.wrote:
                        await self._search.refresh(job.index)
                    return
                if self._stopping.is_set():
                    raise StoppingError

    async def _answer_page(
        self,
        job: Job,
        rows: Sequence[search_pb.ListedDocument],
        bulk: BulkSearch,
        run: "_Run",
    ) -> AsyncGenerator[pb.ClassifyBatchResponse]:
        if not rows:
            return
        classifier = await self._classifiers.of(job.labels, rows[0].vector.space)
        scores = await self._workers.run(lambda: classifier.scores(_matrix(rows)))
        begun: deque[asyncio.Task[list[_Answered]]] = deque()
        try:
            for start in range(0, len(rows), CHUNK):
                numbers = range(start, min(start + CHUNK, len(rows)))
                begun.append(asyncio.create_task(self._chunk(job, rows, numbers, scores, bulk)))
                if len(begun) == 2:
                    for answered in await begun.popleft():
                        yield run.finished(job, answered)
            while begun:
                for answered in await begun.popleft():
                    yield run.finished(job, answered)
        finally:  # nobody takes the answers any more
            for left in begun:
                left.cancel()

    async def _chunk(
        self,
        job: Job,
        rows: Sequence[search_pb.ListedDocument],
        numbers: range,
        scores: Scores,
        bulk: BulkSearch,
    ) -> list["_Answered"]:
        """Answers for some images of a page, their tags written."""
        answered = [_answered(job, rows[number], scores, number) for number in numbers]
        if not job.write_tags:
            return answered
        changed = [each for each in answered if each.tags]
        if not changed:
            return answered
        requests = [
            search_pb.UpsertDocumentsRequest(
                index=job.index,
                document=types.Document(image_id=each.answer.image_id, tags=each.tags),
                vector=each.vector,
            )
            for each in changed
        ]
        try:
            outcomes = await bulk.upsert_many(requests, _MOVES)
        except Exception as error:  # these images' own: their neighbours go on
            outcomes = [error] * len(changed)
        for each, outcome in zip(changed, outcomes, strict=True):
            if isinstance(outcome, Exception):
                each.error = outcome
        back = [
            each
            for each, outcome in zip(changed, outcomes, strict=True)
            if outcome == types.UPSERT_OUTCOME_CREATED
        ]
        if back:
            # They were deleted after they were listed, and are not to come back without files.
            ids = [each.answer.image_id for each in back]
            try:
                await self._search.delete(job.index, ids, types.REFRESH_POLICY_NONE)
            except ServiceError as error:
                for each in back:
                    each.error = error
            else:
                for each in back:
                    each.error = ContentNotFoundError(job.index, each.answer.image_id)
        return answered


@dataclass
class _Answered:
    """An image's answer on its way.

    Attributes:
        answer: Without the token.
        vector: Of the image.
        tags: Those that it lacks.
        error: Why they were not written.
    """

    answer: pb.ClassifyBatchResponse
    vector: types.Vector
    tags: Sequence[str]
    error: Exception | None = None


@dataclass
class _Run:
    """How far one stream has got.

    Attributes:
        done: The last place up to which all is done.
        page_token: Of the page being answered.
        stuck: A write before has failed for now: `done` stays, so that it is tried again.
        wrote: Something was written.
    """

    done: Place
    page_token: str = ""
    stuck: bool = False
    wrote: bool = False

    def finished(self, job: Job, answered: _Answered) -> pb.ClassifyBatchResponse:
        """Completes an image's answer."""
        answer, error = answered.answer, answered.error
        self.wrote = self.wrote or (job.write_tags and bool(answered.tags))
        if isinstance(error, ServiceError):
            answer.error.CopyFrom(error.to_status())
            self.stuck = self.stuck or error.code not in _FINAL
        elif error is not None:
            log.error("tagging_failed", exc_info=error)
            what = "internal error; see the server's log"
            answer.error.CopyFrom(status_pb2.Status(code=code_pb2.INTERNAL, message=what))
            self.stuck = True
        if not self.stuck:
            self.done = Place(self.page_token, answer.image_id, self.done.total)
        answer.resume_token = to_token(self.done, job.digest)
        answer.total_count = self.done.total
        return answer


def _page_request(job: Job, page_token: str) -> search_pb.ListDocumentsRequest:
    return search_pb.ListDocumentsRequest(
        index=job.index,
        filter=job.filter,
        fields=["tags"],
        include_vectors=True,
        page_size=PAGE,
        page_token=page_token,
    )


def _matrix(rows: Sequence[search_pb.ListedDocument]) -> NDArray[np.float32]:
    """(len(rows), d)."""
    return np.array([row.vector.values for row in rows], dtype=np.float32)


def _answered(job: Job, row: search_pb.ListedDocument, scores: Scores, number: int) -> _Answered:
    order = [] if scores.is_unknown(number) else scores.ranked(number, job.top_k)
    probabilities = scores.probabilities[number]
    kept = [label for label in order if probabilities[label] >= job.min_probability]
    answer = pb.ClassifyBatchResponse(
        image_id=row.document.image_id,
        labels=wire.label_scores(job.labels, scores, number, kept),
        unknown_probability=scores.unknown[number],
    )
    tags = [job.tag_prefix + label.name for label in answer.labels]
    return _Answered(answer, row.vector, [tag for tag in tags if tag not in row.document.tags])
