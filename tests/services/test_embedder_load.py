"""EmbedderService under load: nothing lost, doubled, or given to another; and what it counts."""

from __future__ import annotations

import asyncio
import random
import shutil
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from imagesearch.embedder.v1 import embedder_service_pb2 as pb

from imagesearch_dev import models
from tests.helpers import a_picture, refusal
from tests.services.test_embedder_service import embed, image, service, text, vectors

if TYPE_CHECKING:
    from imagesearch.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub

ENDS = {
    grpc.StatusCode.CANCELLED: "left",
    grpc.StatusCode.DEADLINE_EXCEEDED: "late",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "rejected",
}
BROKEN = (b"", b"no image", a_picture(1)[:-40], a_picture(2, fmt="JPEG")[:200])


class Asked:
    """Inputs with known answers, and what came of each.

    Attributes:
        outcomes: How often what happened.
        wrong: Inputs that got another's vector.
    """

    def __init__(self, inputs: list[pb.EmbedInput], expected: np.ndarray) -> None:
        self._inputs = inputs
        self._expected = expected
        self._rng = random.Random(4)
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[int] = []

    def likest(self) -> float:
        """The cosine of the two expected vectors that are hardest to tell apart."""
        return float(np.triu(self._expected @ self._expected.T, 1).max())

    def some(self, count: int) -> list[int]:
        """Numbers of inputs; -1 for a broken one."""
        many = range(len(self._inputs))
        return [self._rng.choice(many) if self._rng.random() > 0.1 else -1 for _ in range(count)]

    def input(self, number: int) -> pb.EmbedInput:
        if number >= 0:
            return self._inputs[number]
        return text(" ") if self._rng.random() < 0.3 else image(self._rng.choice(BROKEN))

    def check(self, number: int, result: pb.EmbedResult) -> None:
        """Compares an answer with the input it was for, and with all others."""
        if number < 0:
            self.outcomes["refused"] += 1
            assert result.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0], result
            return
        assert result.HasField("vector"), result
        self.outcomes["computed"] += 1
        cosines = self._expected @ np.array(result.vector.values, np.float32)
        if cosines.argmax() != number or cosines[number] < 0.999:
            self.wrong.append(number)


@pytest.fixture(scope="module")
def inputs() -> list[pb.EmbedInput]:
    pictures = [image(a_picture(n, 64 + n)) for n in range(40)]
    colours = ("red", "blue", "green", "yellow", "white", "black", "pink", "orange")
    names = [f"{colour} {shape}" for colour in colours for shape in ("star", "circle", "square")]
    return [*pictures, *map(text, names)]


class TestNothingIsMixedUp:
    async def test_thousands_of_inputs_of_all_kinds(self, inputs: list[pb.EmbedInput]) -> None:
        """Calls and streams at once; some broken, some cancelled, some too late."""
        async with service(max_queue=256) as stub:
            alone = [(await embed(stub, item))[0] for item in inputs]
            asked = Asked(inputs, vectors(alone))
            assert asked.likest() < 0.99
            before = await totals(stub)

            await asyncio.gather(
                *(streams(stub, asked, 300) for _ in range(4)),
                *(calls(stub, asked, 40) for _ in range(8)),
                *(leaves(stub, asked, 25) for _ in range(4)),
            )

            assert asked.wrong == []
            assert asked.outcomes["computed"] > 2000
            assert asked.outcomes["refused"] > 200
            assert asked.outcomes["left"] > 50
            assert asked.outcomes["late"] > 0
            await until_none_waits(stub)
            counted = Counter(await totals(stub))
            counted.subtract(before)
            sent = sum(asked.outcomes.values())
            # What left before the server had read it is in no count of the server's.
            assert asked.outcomes["computed"] <= counted["computed"]
            assert sent - asked.outcomes["left"] - asked.outcomes["late"] <= counted.total() <= sent
            assert counted["failed"] == 0


async def streams(stub: EmbedderServiceAsyncStub, asked: Asked, count: int) -> None:
    numbers = asked.some(count)

    async def requests() -> AsyncIterator[pb.StreamEmbedRequest]:
        for place, number in enumerate(numbers):
            yield pb.StreamEmbedRequest(request_id=str(place), input=asked.input(number))

    answered: Counter[int] = Counter()
    async for answer in stub.StreamEmbed(requests()):
        place = int(answer.request_id)
        answered[place] += 1
        asked.check(numbers[place], answer.result)
    assert answered == Counter(range(count))


async def calls(stub: EmbedderServiceAsyncStub, asked: Asked, count: int) -> None:
    for size in range(count):
        numbers = asked.some(1 + size % 7)
        request = pb.EmbedRequest(inputs=map(asked.input, numbers))
        while True:
            call = stub.Embed(request, timeout=60)
            if await call.code() is grpc.StatusCode.OK:
                break
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, await call.details()
            asked.outcomes["rejected"] += len(numbers)
            await asyncio.sleep(0.05)
        answer = await call
        assert len(answer.results) == len(numbers)
        for number, result in zip(numbers, answer.results, strict=True):
            asked.check(number, result)


async def leaves(stub: EmbedderServiceAsyncStub, asked: Asked, count: int) -> None:
    """Calls that are cancelled, or whose time is short; some come through all the same."""
    rng = random.Random(count)
    for turn in range(count):
        numbers = asked.some(3)
        request = pb.EmbedRequest(inputs=map(asked.input, numbers))
        patience = rng.uniform(0.001, 0.06)
        call = stub.Embed(request, timeout=patience if turn % 2 else 60)
        if turn % 2 == 0:
            asyncio.get_running_loop().call_later(patience, call.cancel)
        code = await call.code()
        if code is grpc.StatusCode.OK:
            for number, result in zip(numbers, (await call).results, strict=True):
                asked.check(number, result)
        else:
            asked.outcomes[ENDS[code]] += len(numbers)


async def statistics(stub: EmbedderServiceAsyncStub, name: str = "") -> list[pb.ModelStatistics]:
    return list((await stub.GetStatistics(pb.GetStatisticsRequest(name=name))).models)


OUTCOMES = ("computed", "cached", "refused", "failed", "cancelled", "expired", "rejected")


async def totals(stub: EmbedderServiceAsyncStub) -> dict[str, int]:
    models_ = await statistics(stub)
    return {name: sum(getattr(each, name) for each in models_) for name in OUTCOMES}


async def until_none_waits(stub: EmbedderServiceAsyncStub) -> None:
    for _ in range(400):
        if not sum(each.waiting for each in await statistics(stub)):
            return
        await asyncio.sleep(0.05)
    pytest.fail("inputs wait for ever")


class TestStatistics:
    async def test_what_was_done_is_counted_by_model_and_batch(self) -> None:
        async with service(max_batch=4) as stub:
            await embed(stub, *(image(a_picture(n)) for n in range(9)), image(b"bad"), text("a"))

            images, texts = await statistics(stub)

        assert [images.name, texts.name] == ["tiny-clip", "tiny-clip-multilingual"]
        assert [images.modality, texts.modality] == [pb.MODALITY_IMAGE, pb.MODALITY_TEXT]
        assert (images.computed, images.refused, texts.computed) == (9, 1, 1)
        assert sum(b.size * b.compute.count for b in images.batches) == 9
        assert max(b.size for b in images.batches) <= 4
        assert images.prepare.count == images.queue.count == images.in_all.count == 9
        assert images.in_all.total.ToNanoseconds() >= images.queue.total.ToNanoseconds() > 0

    async def test_of_one_model(self, embedder: EmbedderServiceAsyncStub) -> None:
        (only,) = await statistics(embedder, "tiny-clip-multilingual")
        assert only.modality == pb.MODALITY_TEXT

        refused = await refusal(embedder.GetStatistics(pb.GetStatisticsRequest(name="none")))
        assert refused.reason == "MODEL_NOT_FOUND"

    async def test_prometheus_reads_the_same(self, free_port: int) -> None:
        async with service(metrics_listen=f"127.0.0.1:{free_port}") as stub:
            await embed(stub, image(a_picture(1)), image(b"bad"))

            url = f"http://127.0.0.1:{free_port}/metrics"
            body = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())

        label = 'kind="image",model="tiny-clip"'
        assert f'imagesearch_embedder_inputs_total{{{label},outcome="computed"}} 1.0' in body or (
            'imagesearch_embedder_inputs_total{model="tiny-clip",kind="image",outcome="computed"} 1'
            in body
        )
        assert "imagesearch_embedder_batch_size_bucket" in body
        assert "imagesearch_embedder_queue_seconds_sum" in body


class TestCache:
    async def test_what_was_embedded_once_costs_no_model(self) -> None:
        long = "red circle " * 40
        async with service(cache_bytes=1_000_000) as stub:
            first = await embed(stub, image(a_picture(1)), text(long))
            again = await embed(stub, image(a_picture(1)), text(long), image(b"bad"))
            images, texts = await statistics(stub)

        assert first[0] == again[0]
        assert first[1] == again[1]
        assert again[1].truncated
        assert (images.computed, images.cached, images.refused) == (1, 1, 1)
        assert (texts.computed, texts.cached) == (1, 1)


class TestArithmetic:
    async def test_every_engine_gives_the_same_vectors(
        self, embedder: EmbedderServiceAsyncStub
    ) -> None:
        inputs = [image(a_picture(1)), image(a_picture(2)), text("zwei rote Kreise"), text("a")]
        by_engine = {}
        for backend in ("torch", "openvino"):
            async with service(backend=backend, dtype="float32") as stub:
                (info, _) = (await stub.ListModels(pb.ListModelsRequest())).models
                assert (info.backend, info.dtype) == (backend, "float32")
                by_engine[backend] = vectors(await embed(stub, *inputs))

        assert (by_engine["torch"] * by_engine["openvino"]).sum(1).min() > 0.9999

    async def test_int8_says_what_it_costs(self) -> None:
        async with service(dtype="int8") as stub:
            (info, _) = (await stub.ListModels(pb.ListModelsRequest())).models
            results = await embed(stub, image(a_picture(1)), text("a"))

        assert (info.backend, info.dtype) == ("torch", "int8")
        assert 0.8 < info.cosine_to_float32 < 0.99999
        assert {result.WhichOneof("outcome") for result in results} == {"vector"}

    async def test_two_devices_work_on_one_queue(self) -> None:
        async with service(device="cpu,cpu", max_batch=2) as stub:
            (info, _) = (await stub.ListModels(pb.ListModelsRequest())).models
            together = vectors(await embed(stub, *(image(a_picture(n)) for n in range(30))))
            alone = [(await embed(stub, image(a_picture(n))))[0] for n in range(30)]

        assert info.device == "cpu,cpu"
        assert (together * vectors(alone)).sum(1).min() > 0.999


class TestSeveralModels:
    async def test_a_second_model_is_asked_by_name(self, tmp_path: Path) -> None:
        """The same weights under other names; one of them also embeds its own texts."""
        other = tmp_path / "other-clip"
        shutil.copytree(models.TINY.image, other)
        async with service(more_models=str(other)) as stub:
            names = [m.name for m in (await stub.ListModels(pb.ListModelsRequest())).models]
            default = await embed(stub, image(a_picture(1)))
            request = pb.EmbedRequest(inputs=[image(a_picture(1))], model="other-clip")
            named = (await stub.Embed(request)).results
            unknown = pb.EmbedRequest(inputs=[text("a")], model="none")
            refused = await refusal(stub.Embed(unknown))
            streamed = {
                answer.request_id: answer.result
                async for answer in stub.StreamEmbed(several(["other-clip", "none", ""]))
            }

        assert names == ["tiny-clip", "tiny-clip-multilingual", "other-clip"]
        assert named[0].vector.space.startswith("other-clip@sha256:")
        assert default[0].vector.space.startswith("tiny-clip@sha256:")
        assert refused.code is grpc.StatusCode.NOT_FOUND
        assert streamed["none"].error.code == grpc.StatusCode.NOT_FOUND.value[0]
        assert streamed["other-clip"].vector.space == named[0].vector.space
        assert streamed[""].vector.space == default[0].vector.space


async def several(names: list[str]) -> AsyncIterator[pb.StreamEmbedRequest]:
    for name in names:
        yield pb.StreamEmbedRequest(request_id=name, input=text("a star"), model=name)
