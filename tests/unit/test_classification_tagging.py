"""ClassifyBatch when writes fail; only the faults are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import classification_pb2 as pb
from imagesearch.search.v1 import search_service_pb2 as search_pb

from gateway.classification import tagging
from gateway.classification.labels import Label, Labels
from gateway.classification.resuming import Place, from_token
from gateway.classification.tagging import Job, Tagging
from gateway.classification.unknown import Background
from gateway.classification.zero_shot import Classifier
from service_kit.errors import InvalidRequestError, StoppingError, UnavailableError, Violations
from service_kit.workers import Workers
from tests.helpers import Refusal, image_id, unit_vector

COUNT = 100
IDS = sorted(image_id(n) for n in range(COUNT))
LABELS = Labels((Label("a", (), {}), Label("b", (), {})), ())

Write = Callable[[str], int]
"""What becomes of the write of an image: an outcome, or an exception."""


class FaultySearch:
    """Documents that each look like the first label, and writes that do as they are told."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.tags: dict[str, list[str]] = {}
        self.deleted: list[str] = []
        self.refreshed: list[str] = []
        self.under_way = 0
        self.most_under_way = 0

    async def count(self, request: search_pb.CountDocumentsRequest) -> int:
        return COUNT

    async def listed(
        self, request: search_pb.ListDocumentsRequest
    ) -> search_pb.ListDocumentsResponse:
        ids = [each for each in IDS if each > request.page_token][: request.page_size]
        response = search_pb.ListDocumentsResponse(next_page_token=ids[-1] if ids else "")
        if ids and ids[-1] == IDS[-1]:
            response.next_page_token = ""
        for each in ids:
            vector = types.Vector(values=unit_vector(1), space="s")
            response.documents.add(document=types.Document(image_id=each), vector=vector)
        return response

    async def delete(self, index: str, image_ids: Sequence[str], refresh: int) -> None:
        self.deleted += image_ids

    async def refresh(self, name: str) -> None:
        self.refreshed.append(name)

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[FaultySearch]:
        yield self

    async def upsert_many(
        self, requests: Sequence[search_pb.UpsertDocumentsRequest], moves: Any
    ) -> list[int | Exception]:
        self.under_way += len(requests)
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= len(requests)
        outcomes: list[int | Exception] = []
        for request in requests:
            try:
                outcomes.append(self._write(request.document.image_id))
                self.tags[request.document.image_id] = list(request.document.tags)
            except Exception as error:
                outcomes.append(error)
        return outcomes


class FixedClassifiers:
    async def of(self, labels: Labels, space: str) -> Classifier:
        vectors = np.array([unit_vector(1), unit_vector(2)])
        return Classifier(vectors, Background(np.array([unit_vector(3)]), False), 100, 0.35)


def job(write_tags: bool = True) -> Job:
    return Job("i", None, LABELS, write_tags, "auto:", 0.5, 1, "d")


async def run(
    search: FaultySearch, token: str = "", stopping: asyncio.Event | None = None
) -> list[pb.ClassifyBatchResponse]:
    fakes: Any = search, FixedClassifiers()
    async with Workers("test", 1) as workers:
        tags = Tagging(*fakes, workers, stopping or asyncio.Event())
        place = from_token(token, "d", Violations())
        return [answer async for answer in tags.answers(job(), place)]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "PAGE", 30)
    monkeypatch.setattr(tagging, "CHUNK", 8)


def merged(image: str) -> int:
    return types.UPSERT_OUTCOME_MERGED


async def test_writes_go_together_within_bounds_and_answers_come_in_order() -> None:
    search = FaultySearch(merged)

    answers = await run(search)

    assert [answer.image_id for answer in answers] == IDS
    assert search.tags == {each: ["auto:a"] for each in IDS}
    assert search.refreshed == ["i"]
    assert 1 < search.most_under_way <= 2 * tagging.CHUNK


async def test_a_write_that_fails_for_now_costs_no_other_and_is_done_again() -> None:
    """Tokens stay before it, so that a second run writes it."""
    failing = {IDS[40], IDS[70]}

    def write(image: str) -> int:
        if image in failing:
            raise UnavailableError("not now")
        return merged(image)

    search = FaultySearch(write)
    answers = await run(search)

    assert {answer.image_id for answer in answers if answer.HasField("error")} == failing
    assert search.tags.keys() == set(IDS) - failing
    assert Refusal(answers[40].error).retry
    assert len({answer.resume_token for answer in answers[39:]}) == 1
    failing.clear()
    again = await run(search, answers[-1].resume_token)
    assert [answer.image_id for answer in again] == IDS[40:]
    assert search.tags.keys() == set(IDS)


async def test_a_write_that_can_never_succeed_is_not_tried_again() -> None:
    def write(image: str) -> int:
        if image == IDS[5]:
            raise InvalidRequestError([("labels[0]", "is wrong")])
        return merged(image)

    answers = await run(FaultySearch(write))

    assert Refusal(answers[5].error).fields == ["labels[0]"]
    assert await run(FaultySearch(write), answers[5].resume_token) != []
    assert [each.image_id for each in await run(FaultySearch(write), answers[98].resume_token)] == [
        IDS[99]
    ]


async def test_an_image_deleted_meanwhile_does_not_come_back() -> None:
    def write(image: str) -> int:
        return types.UPSERT_OUTCOME_CREATED if image == IDS[3] else merged(image)

    search = FaultySearch(write)
    answers = await run(search)

    assert search.deleted == [IDS[3]]
    assert Refusal(answers[3].error).reason == "IMAGE_NOT_FOUND"
    assert not answers[4].HasField("error")


async def test_a_bug_is_its_images_own() -> None:
    def write(image: str) -> int:
        if image == IDS[3]:
            raise ZeroDivisionError
        return merged(image)

    answers = await run(FaultySearch(write))

    assert Refusal(answers[3].error).code.name == "INTERNAL"
    assert len(answers) == COUNT


async def test_when_the_server_stops_the_page_is_finished() -> None:
    stopping = asyncio.Event()
    stopping.set()
    search = FaultySearch(merged)

    with pytest.raises(StoppingError):
        await run(search, stopping=stopping)
    assert len(search.tags) == 30


async def test_who_leaves_early_ends_the_writes() -> None:
    search = FaultySearch(merged)
    fakes: Any = search, FixedClassifiers()
    async with Workers("test", 1) as workers:
        tags = Tagging(*fakes, workers, asyncio.Event())
        answers = tags.answers(job(), Place())
        await anext(answers)
        await answers.aclose()

    assert len(search.tags) <= 2 * tagging.CHUNK
    assert search.under_way == 0
