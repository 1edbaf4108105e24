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
from gateway.clients import BulkSearch, Search
from gateway.errors import ContentNotFoundError
from service_kit.errors import ServiceError, StoppingError
from service_kit.workers import Workers

PAGE = 500
WINDOW = 32
"""Writes under way at a time."""

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
        """Answers for each image. No more is read or written ahead than one page and one window.

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
        begun: deque[tuple[pb.ClassifyBatchResponse, asyncio.Task[ServiceError | None] | None]]
        begun = deque()
        try:
            for number, row in enumerate(rows):
                answer = _answer(job, row.document.image_id, scores, number)
                task = None
                if job.write_tags and (tags := _new_tags(job, answer, row.document)):
                    task = asyncio.create_task(self._write(job, row, tags, bulk))
                begun.append((answer, task))
                if len(begun) == WINDOW:
                    yield await _finished(job, *begun.popleft(), run)
            while begun:
                yield await _finished(job, *begun.popleft(), run)
        finally:  # nobody takes the answers any more
            for _, left in begun:
                if left is not None:
                    left.cancel()

    async def _write(
        self, job: Job, row: search_pb.ListedDocument, tags: Sequence[str], bulk: BulkSearch
    ) -> ServiceError | None:
        """Adds tags to an image; gives why that failed."""
        image_id = row.document.image_id
        request = search_pb.UpsertDocumentsRequest(
            index=job.index,
            document=types.Document(image_id=image_id, tags=tags),
            vector=row.vector,
        )
        try:
            outcome = await bulk.upsert(request, _MOVES)
            if outcome == types.UPSERT_OUTCOME_CREATED:
                # It was deleted after it was listed, and is not to come back without its file.
                await self._search.delete(job.index, [image_id], types.REFRESH_POLICY_NONE)
                return ContentNotFoundError(job.index, image_id)
        except ServiceError as error:
            return error
        return None


@dataclass
class _Run:
    """How far one stream has got.

    Attributes:
        done: The last place up to which all is done.
        page_token: Of the page being answered.
        stuck: A write before has failed for now: `done` stays, so that it is tried again.
    """

    done: Place
    page_token: str = ""
    stuck: bool = False


async def _finished(
    job: Job,
    answer: pb.ClassifyBatchResponse,
    task: asyncio.Task[ServiceError | None] | None,
    run: _Run,
) -> pb.ClassifyBatchResponse:
    """Waits for an image's write, if there is one, and completes its answer."""
    if task is not None:
        try:
            error = await task
            if error is not None:
                answer.error.CopyFrom(error.to_status())
                run.stuck = run.stuck or error.code not in _FINAL
        except Exception:  # this image's own: its neighbours go on
            log.exception("tagging_failed")
            what = "internal error; see the server's log"
            answer.error.CopyFrom(status_pb2.Status(code=code_pb2.INTERNAL, message=what))
            run.stuck = True
    if not run.stuck:
        run.done = Place(run.page_token, answer.image_id, run.done.total)
    answer.resume_token = to_token(run.done, job.digest)
    answer.total_count = run.done.total
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


def _answer(job: Job, image_id: str, scores: Scores, number: int) -> pb.ClassifyBatchResponse:
    order = [] if scores.is_unknown(number) else scores.ranked(number, job.top_k)
    probabilities = scores.probabilities[number]
    kept = [label for label in order if probabilities[label] >= job.min_probability]
    return pb.ClassifyBatchResponse(
        image_id=image_id,
        labels=wire.label_scores(job.labels, scores, number, kept),
        unknown_probability=scores.unknown[number],
    )


def _new_tags(job: Job, answer: pb.ClassifyBatchResponse, document: types.Document) -> list[str]:
    tags = [job.tag_prefix + label.name for label in answer.labels]
    return [tag for tag in tags if tag not in document.tags]
