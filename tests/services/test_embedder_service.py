"""EmbedderService over gRPC, on real models."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagesearch.embedder.v1 import embedder_service_pb2 as pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as pb_grpc
from PIL import Image
from sentence_transformers import SentenceTransformer

import embedder_service.server
from embedder_service.settings import Settings
from imagesearch_dev import models, samples
from service_kit.client import channel
from service_kit.server import StartError
from tests.helpers import Refusal, a_picture, each, encoded, eventually, refusal

if TYPE_CHECKING:
    from imagesearch.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub

TEXTS = [
    "two red circles",
    "两个红色的圆",
    "dos círculos rojos",
    "zwei rote Kreise",
    "deux cercles",
]


def image(data: bytes) -> pb.EmbedInput:
    return pb.EmbedInput(image=data)


def text(sentence: str) -> pb.EmbedInput:
    return pb.EmbedInput(text=sentence)


async def embed(stub: EmbedderServiceAsyncStub, *inputs: pb.EmbedInput) -> list[pb.EmbedResult]:
    return list((await stub.Embed(pb.EmbedRequest(inputs=inputs), timeout=30)).results)


def vectors(results: list[pb.EmbedResult]) -> np.ndarray:
    return np.array([result.vector.values for result in results], np.float32)


def own_settings(**settings: object) -> Settings:
    defaults = {
        "listen": "127.0.0.1:0",
        "image_model": models.TINY.image,
        "text_model": models.TINY.text,
        "cache_bytes": 0,
        "grace_s": 2,
    }
    return Settings.model_validate({**defaults, **settings})


@asynccontextmanager
async def service(**settings: object) -> AsyncIterator[EmbedderServiceAsyncStub]:
    """A service of one's own, with other settings."""
    running = embedder_service.server.running(own_settings(**settings))
    async with running as port, channel(f"127.0.0.1:{port}") as opened:
        yield pb_grpc.EmbedderServiceStub(opened)


class TestEmbed:
    async def test_images_get_the_vectors_that_the_library_gives(
        self, embedder: EmbedderServiceAsyncStub
    ) -> None:
        """The reference is sentence-transformers, on photos of many sizes and shapes."""
        photos = [Image.fromarray(np.asarray(photo)) for photo in samples.photos().values()]
        reference = SentenceTransformer(models.TINY.image, device="cpu").encode(
            photos, normalize_embeddings=True
        )

        ours = vectors(await embed(embedder, *(image(encoded(photo, "PNG")) for photo in photos)))

        assert (ours * reference).sum(1).min() > 0.999
        assert np.linalg.norm(ours, axis=1) == pytest.approx(1, abs=1e-4)

    async def test_texts_get_the_vectors_that_the_library_gives(
        self, embedder: EmbedderServiceAsyncStub
    ) -> None:
        reference = SentenceTransformer(models.TINY.text, device="cpu").encode(
            TEXTS, normalize_embeddings=True
        )

        ours = vectors(await embed(embedder, *map(text, TEXTS)))

        assert (ours * reference).sum(1).min() > 0.9999

    async def test_images_and_texts_share_a_space(self, embedder: EmbedderServiceAsyncStub) -> None:
        results = await embed(embedder, image(a_picture(1)), text("a red circle"))

        assert results[0].vector.space == results[1].vector.space
        assert results[0].vector.space.startswith("tiny-clip@sha256:")
        assert {len(result.vector.values) for result in results} == {512}

    async def test_results_are_in_the_order_of_the_inputs(
        self, embedder: EmbedderServiceAsyncStub
    ) -> None:
        inputs = [text("red") if n % 3 else image(a_picture(n)) for n in range(40)]
        alone = [(await embed(embedder, item))[0] for item in inputs]

        together = await embed(embedder, *inputs)

        assert (vectors(together) * vectors(alone)).sum(1).min() > 0.9999

    async def test_a_bad_input_costs_its_neighbors_nothing(
        self, embedder: EmbedderServiceAsyncStub
    ) -> None:
        good, also_good = a_picture(1), a_picture(2)
        inputs = [
            *(image(good), image(b""), image(b"no image"), image(a_picture(3, 400, "JPEG")[:-900])),
            *(text(""), text("x" * 100_000), pb.EmbedInput(), image(also_good), text("a star")),
        ]

        results = await embed(embedder, *inputs)

        kinds = [result.WhichOneof("outcome") for result in results]
        assert kinds == ["vector", *["error"] * 6, "vector", "vector"]
        refused = [Refusal(result.error) for result in results[1:7]]
        assert {each.code for each in refused} == {grpc.StatusCode.INVALID_ARGUMENT}
        assert [each.fields for each in refused] == [
            *(["inputs[1].image"], ["inputs[2].image"], ["inputs[3].image"]),
            *(["inputs[4].text"], ["inputs[5].text"], ["inputs[6].content"]),
        ]
        expected = vectors(await embed(embedder, image(good), image(also_good)))
        ours = vectors([results[0], results[7]])
        assert (ours * expected).sum(1).min() > 0.9999

    @pytest.mark.parametrize("count", [0, 257])
    async def test_the_number_of_inputs_is_bounded(
        self, embedder: EmbedderServiceAsyncStub, count: int
    ) -> None:
        refused = await refusal(embedder.Embed(pb.EmbedRequest(inputs=[text("a")] * count)))

        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["inputs"])

    async def test_a_long_text_is_cut_and_says_so(self, embedder: EmbedderServiceAsyncStub) -> None:
        long = "red circle " * 40

        short_result, long_result, longer = await embed(
            embedder, text("red circle"), text(long), text(long + "blue star")
        )

        assert [short_result.truncated, long_result.truncated] == [False, True]
        assert longer.vector.values == pytest.approx(long_result.vector.values, abs=1e-5)


class TestStreamEmbed:
    async def test_every_request_is_answered_by_its_id(
        self, embedder: EmbedderServiceAsyncStub
    ) -> None:
        contents = {str(n): image(a_picture(n)) if n % 2 else text(f"{n} stars") for n in range(90)}
        contents["bad"] = image(b"bad")
        requests = [pb.StreamEmbedRequest(request_id=i, input=c) for i, c in contents.items()]

        results = {a.request_id: a.result async for a in embedder.StreamEmbed(each(requests))}

        assert results.keys() == contents.keys()
        assert Refusal(results.pop("bad").error).fields == ["input.image"]
        some = ["0", "1", "44", "89"]
        alone = vectors(await embed(embedder, *(contents[i] for i in some)))
        assert (vectors([results[i] for i in some]) * alone).sum(1).min() > 0.9999

    async def test_one_who_does_not_read_holds_nobody_else_up(
        self, embedder: EmbedderServiceAsyncStub
    ) -> None:
        async def endless() -> AsyncIterator[pb.StreamEmbedRequest]:
            while True:
                yield pb.StreamEmbedRequest(request_id="x" * 100, input=image(a_picture(1)))

        bulk = embedder.StreamEmbed(endless())
        await bulk.read()
        await asyncio.sleep(0.3)

        assert len(await embed(embedder, image(a_picture(2)))) == 1
        bulk.cancel()


class TestModels:
    async def test_what_is_known_of_them(self, embedder: EmbedderServiceAsyncStub) -> None:
        listed = (await embedder.ListModels(pb.ListModelsRequest())).models

        assert [m.name for m in listed] == ["tiny-clip", "tiny-clip-multilingual"]
        assert [list(m.modalities) for m in listed] == [[pb.MODALITY_IMAGE], [pb.MODALITY_TEXT]]
        assert listed[0].space == listed[1].space
        assert {(m.dimensions, m.device) for m in listed} == {(512, "cpu")}
        assert {m.dtype for m in listed} <= {"float32", "bfloat16"}  # whichever is faster
        assert all(m.cosine_to_float32 >= 0.999 for m in listed)
        assert [m.max_text_tokens for m in listed] == [0, 48]
        assert all(m.revision.startswith("sha256:") for m in listed)
        assert listed[0].logit_scale > 1

    async def test_one_of_them(self, embedder: EmbedderServiceAsyncStub) -> None:
        default = (await embedder.GetModel(pb.GetModelRequest())).model
        texts = (await embedder.GetModel(pb.GetModelRequest(name="tiny-clip-multilingual"))).model

        assert default.name == "tiny-clip"
        assert texts.name == "tiny-clip-multilingual"
        assert texts.limits.max_inputs == 256
        refused = await refusal(embedder.GetModel(pb.GetModelRequest(name="none")))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")


class TestOverload:
    async def test_calls_beyond_the_queue_are_refused_and_told_when_to_come_back(self) -> None:
        pictures = [image(a_picture(n, 1500, "PNG")) for n in range(4)]
        async with service(max_queue=8, max_inputs=8) as stub:
            calls = [stub.Embed(pb.EmbedRequest(inputs=pictures * 2)) for _ in range(6)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)

            served = [o for o in outcomes if isinstance(o, pb.EmbedResponse)]
            assert 1 <= len(served) < 6
            assert all(len(answer.results) == 8 for answer in served)
            codes = {o.code() for o in outcomes if isinstance(o, grpc.aio.AioRpcError)}
            assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            full = [stub.Embed(pb.EmbedRequest(inputs=pictures * 2)) for _ in range(3)]
            refused = [await refusal(call) for call in full[1:]]
            assert all(each.retry and each.reason == "QUEUE_FULL" for each in refused)
            await full[0]

    async def test_a_call_that_is_cancelled_or_late_leaves_its_room_to_others(self) -> None:
        pictures = [image(a_picture(n, 1500, "PNG")) for n in range(8)]
        async with service(max_queue=8, max_inputs=8) as stub:
            late = await refusal(stub.Embed(pb.EmbedRequest(inputs=pictures), timeout=0.05))
            assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
            cancelled = stub.Embed(pb.EmbedRequest(inputs=pictures))
            await asyncio.sleep(0.02)
            cancelled.cancel()

            answer = await eventually(lambda: embed(stub, *pictures), timeout_s=10)

        assert {result.WhichOneof("outcome") for result in answer} == {"vector"}


class TestStop:
    async def test_calls_that_run_are_answered_and_streams_end_after_what_was_read(self) -> None:
        got = asyncio.Event()

        async def requests() -> AsyncIterator[pb.StreamEmbedRequest]:
            for n in range(10):
                yield pb.StreamEmbedRequest(request_id=str(n), input=image(a_picture(n)))
            await asyncio.Event().wait()

        async def listen(stub: EmbedderServiceAsyncStub) -> tuple[list[str], grpc.StatusCode]:
            call = stub.StreamEmbed(requests())
            answered = []
            try:
                async for answer in call:
                    answered.append(answer.request_id)
                    if len(answered) == 10:
                        got.set()
            except grpc.aio.AioRpcError:
                pass
            return answered, await call.code()

        async with AsyncExitStack() as client:
            async with embedder_service.server.running(own_settings()) as port:
                opened = await client.enter_async_context(channel(f"127.0.0.1:{port}"))
                stub = pb_grpc.EmbedderServiceStub(opened)
                stream = asyncio.create_task(listen(stub))
                await got.wait()
                unary = asyncio.create_task(embed(stub, *[image(a_picture(1, 1500))] * 4))
                await asyncio.sleep(0.05)

            answered, code = await stream
            assert sorted(answered) == sorted(map(str, range(10)))
            assert code is grpc.StatusCode.UNAVAILABLE
            assert len(await unary) == 4


class TestStart:
    async def test_health_and_liveness(self, embedder_address: str) -> None:
        async with channel(embedder_address) as opened:
            stub = health_pb2_grpc.HealthStub(opened)
            for name in ("", "imagesearch.embedder.v1.EmbedderService", "liveness"):
                answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING

    @pytest.mark.parametrize(
        ("settings", "why"),
        [
            ({"image_model": "/no/such/folder"}, "no folder on this machine"),
            ({"image_model": models.TINY.text}, "does not|cannot|takes no"),
            ({"device": "cuda:99"}, "cannot be used"),
            ({"device": "meta"}, "no known kind|cannot be used"),
            ({"backend": "openvino", "dtype": "int8"}, "int8 needs the backend torch"),
            ({"max_model_bytes": 1000}, "EMBEDDER_MAX_MODEL_BYTES"),
            ({"more_models": models.TINY.text}, "takes no|does not"),
            ({"metrics_listen": "127.0.0.1:notaport"}, "metrics cannot be served"),
        ],
    )
    async def test_what_cannot_work_is_said_at_the_start(
        self, settings: dict[str, str], why: str
    ) -> None:
        with pytest.raises(StartError, match=why):
            async with service(**settings):
                pass

    async def test_a_taken_port_is_said_at_the_start(self, embedder_address: str) -> None:
        with pytest.raises(StartError, match="is the port taken"):
            async with service(listen=embedder_address):
                pass

    async def test_a_model_that_gives_other_vectors_than_it_did_is_refused(
        self, tmp_path: Path
    ) -> None:
        """Its golden vectors are those of another: as with changed weights or libraries."""
        folder = tmp_path / "tiny-clip"
        shutil.copytree(models.TINY.image, folder)
        golden = json.loads((folder / "golden.json").read_text())
        golden["images"][0]["vector"] = golden["images"][1]["vector"]
        (folder / "golden.json").write_text(json.dumps(golden))

        with pytest.raises(StartError, match="not what it was"):
            async with service(image_model=str(folder)):
                pass

    async def test_one_model_for_both(self, tmp_path: Path) -> None:
        """A CLIP with its own text tower serves alone."""
        async with service(text_model=models.TINY.image) as stub:
            listed = (await stub.ListModels(pb.ListModelsRequest())).models
            results = await embed(stub, image(a_picture(1)), text("a"))

        assert [list(m.modalities) for m in listed] == [[pb.MODALITY_IMAGE, pb.MODALITY_TEXT]]
        assert {r.WhichOneof("outcome") for r in results} == {"vector"}


async def test_a_line_of_pixels_is_still_a_picture(embedder: EmbedderServiceAsyncStub) -> None:
    """Resizing must not make the shorter side vanish."""
    sizes = ((1, 500), (500, 1), (1, 1))
    lines = [image(encoded(Image.new("RGB", size, "red"), "PNG")) for size in sizes]

    results = await embed(embedder, *lines)

    assert {result.WhichOneof("outcome") for result in results} == {"vector"}
