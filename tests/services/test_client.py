"""The client: against the real gateway, and against one that fails as it is told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc
from imagesearch.gateway.v1 import versions_pb2

from imagesearch_client import (
    AsyncClient,
    Client,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    UploadLimits,
    field,
    upload,
)
from service_kit.errors import RetryableError
from tests.helpers import a_picture, each, eventually, image_id


class TestRealGateway:
    async def test_stores_searches_reads_and_deletes(
        self, gateway_address: str, new_index: str, tmp_path: Path
    ) -> None:
        (tmp_path / "a.png").write_bytes(a_picture(1))
        async with AsyncClient(gateway_address) as client:
            stored = await client.index_image(
                upload(tmp_path / "a.png", tags=["red"]),
                index=new_index,
                refresh=types.REFRESH_POLICY_IMMEDIATE,
            )
            found = await client.search_by_image(
                tmp_path / "a.png", index=new_index, filter=field("tags") == "red", k=3
            )
            other = await client.search_by_text(
                "a circle", index=new_index, filter=field("tags") == "blue"
            )
            known = await client.get_image(found.results[0].image.image_id, index=new_index)
            content = await client.get_image_content(
                known.image.image_id, index=new_index, variant=pb.IMAGE_VARIANT_ORIGINAL
            )
            status = await client.get_status(index=new_index)
            gone = await client.delete_images([known.image.image_id], index=new_index)

        assert found.results[0].score == pytest.approx(1, abs=1e-3)
        assert known.image.image_id == stored.indexed.image_id
        assert known.image.image_name == "a.png"
        assert not other.results
        assert content.content == a_picture(1)
        assert status.index.document_count == 1
        assert list(gone.deleted_image_ids) == [known.image.image_id]

    async def test_errors_are_of_one_family(self, gateway_address: str, new_index: str) -> None:
        async with AsyncClient(gateway_address) as client:
            with pytest.raises(InvalidRequestError) as wrong:
                await client.search_by_image(image_id="x", index="NO")
            with pytest.raises(NotFoundError) as missing:
                await client.get_image(image_id(1), index=new_index)
            with pytest.raises(DeadlineError):
                await client.search_by_text("a", index=new_index, timeout=0.0)

        assert {name for name, _ in wrong.value.violations} == {"index", "image_id"}
        assert wrong.value.reason == "INVALID_REQUEST"
        assert missing.value.code is grpc.StatusCode.NOT_FOUND

    async def test_many_images_each_with_its_outcome(
        self, gateway_address: str, new_index: str
    ) -> None:
        async def uploads() -> AsyncIterator[pb.ImageUpload]:
            for n in range(12):
                yield upload(a_picture(n) if n != 5 else b"none", relative_path=f"{n}.png")

        limits = UploadLimits(max_in_flight=3)
        async with AsyncClient(gateway_address) as client:
            outcomes = [
                o async for o in client.index_images(uploads(), index=new_index, limits=limits)
            ]
            found = await client.search_by_image(a_picture(7), index=new_index, k=1)

        assert sorted(o.number for o in outcomes) == list(range(12))
        refused = [o for o in outcomes if o.error is not None]
        assert [o.upload.relative_path for o in refused] == ["5.png"]
        assert isinstance(refused[0].error, InvalidRequestError)
        assert found.results[0].image.relative_path == "7.png"

    async def test_without_asyncio(self, gateway_address: str, new_index: str) -> None:
        def work() -> tuple[int, str, str]:
            with Client(gateway_address) as client:
                uploads = (upload(a_picture(n), relative_path=f"{n}.png") for n in range(4))
                stored = sum(o.error is None for o in client.index_images(uploads, index=new_index))
                found = client.search_by_image(a_picture(2), index=new_index, k=1)
                try:
                    client.get_image("x", index=new_index)
                except InvalidRequestError as error:
                    return stored, found.results[0].image.relative_path, error.violations[0][0]
            raise AssertionError("it was not refused")

        assert await asyncio.to_thread(work) == (4, "2.png", "image_id")


class Faulty(pb_grpc.ImageSearchServiceServicer):
    """A gateway that fails as it is told.

    Attributes:
        calls: How often each method was called.
        metadata: Of the last call.
        overloads: So many calls of GetStatus are refused, to come back after 50 ms.
        cut_after: Streams of images end with UNAVAILABLE after so many answers.
        cuts: So many streams do; the others go on.
        busy: Ids of requests that are refused once with UNAVAILABLE.
        seen: How often each image was answered with success.
        in_flight: Most images received and not answered.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.metadata: dict[str, Any] = {}
        self.overloads = 0
        self.cut_after = 0
        self.cuts = 0
        self.busy: set[str] = set()
        self.seen: Counter[str] = Counter()
        self.received: list[str] = []

    async def GetStatus(self, request: Any, context: Any) -> pb.GetStatusResponse:
        self.calls["GetStatus"] += 1
        self.metadata = dict(context.invocation_metadata())
        if self.calls["GetStatus"] <= self.overloads:
            await context.abort_with_status(rpc_status.to_status(Full().to_status()))
        return pb.GetStatusResponse(space="s")

    async def FindDuplicates(
        self, request: Any, context: Any
    ) -> AsyncIterator[versions_pb2.FindDuplicatesResponse]:
        progress = versions_pb2.ScanProgress(scan_id="s")
        yield versions_pb2.FindDuplicatesResponse(progress=progress)
        self.calls["open"] += 1
        try:
            await asyncio.sleep(30)
        finally:
            self.calls["open"] -= 1

    async def IndexImages(
        self, request_iterator: AsyncIterator[pb.IndexImagesRequest], context: Any
    ) -> AsyncIterator[pb.IndexImagesResponse]:
        self.calls["IndexImages"] += 1
        answered = 0
        async for request in request_iterator:
            self.received.append(request.request_id)
            response = pb.IndexImagesResponse(request_id=request.request_id)
            if request.request_id in self.busy:
                self.busy.discard(request.request_id)
                response.error.CopyFrom(status_pb2.Status(code=code_pb2.UNAVAILABLE))
            else:
                self.seen[request.image.image_name] += 1
                response.indexed.image_id = image_id(request.image.image_name)
            yield response
            answered += 1
            if answered == self.cut_after and self.calls["IndexImages"] <= self.cuts:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")


class Full(RetryableError):
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"

    def __init__(self) -> None:
        super().__init__("full", timedelta(milliseconds=50))


@asynccontextmanager
async def served(servicer: Faulty) -> AsyncIterator[str]:
    server = grpc.aio.server()
    pb_grpc.add_ImageSearchServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


class TestFaults:
    async def test_waits_as_long_as_an_overloaded_server_says(self) -> None:
        faulty = Faulty()
        faulty.overloads = 2
        async with served(faulty) as address, AsyncClient(address, api_key="k1") as client:
            began = time.monotonic()
            assert (await client.get_status()).space == "s"

        assert time.monotonic() - began >= 0.1
        assert faulty.calls["GetStatus"] == 3
        assert faulty.metadata["authorization"] == "Bearer k1"

    async def test_does_not_wait_beyond_the_deadline_nor_the_budget(self) -> None:
        faulty = Faulty()
        faulty.overloads = 1_000
        async with served(faulty) as address, AsyncClient(address) as client:
            with pytest.raises(OverloadedError) as late:
                await client.get_status(timeout=0.04)
            assert faulty.calls["GetStatus"] == 1
            for _ in range(10):
                with pytest.raises(OverloadedError):
                    await client.get_status()

        assert late.value.retry_after == timedelta(milliseconds=50)
        # Each call once; retries as many as the bucket has tokens above its half.
        assert faulty.calls["GetStatus"] <= 11 + 5

    async def test_a_stream_that_breaks_is_opened_anew_and_nothing_is_lost(self) -> None:
        faulty = Faulty()
        faulty.cut_after, faulty.cuts = 7, 3
        async with served(faulty) as address, AsyncClient(address) as client:
            uploads = [upload(b"x", image_name=str(n)) for n in range(40)]
            outcomes = [o async for o in client.index_images(each(uploads))]

        assert sorted(o.number for o in outcomes) == list(range(40))
        assert all(o.indexed is not None for o in outcomes)
        assert set(faulty.seen) == {str(n) for n in range(40)}
        assert faulty.calls["IndexImages"] == 4

    async def test_one_image_that_cannot_be_stored_now_is_sent_again(self) -> None:
        faulty = Faulty()
        faulty.busy = {"2"}
        async with served(faulty) as address, AsyncClient(address) as client:
            uploads = [upload(b"x", image_name=str(n)) for n in range(5)]
            outcomes = [o async for o in client.index_images(uploads)]

        assert all(o.error is None for o in outcomes)
        assert faulty.received.count("2") == 2
        assert faulty.calls["IndexImages"] == 1

    async def test_a_server_that_stays_away_is_given_up(self, free_port: int) -> None:
        async with AsyncClient(f"127.0.0.1:{free_port}") as client:
            began = time.monotonic()
            limits = UploadLimits(patience_s=0.5)
            with pytest.raises(UnavailableError):
                await anext(client.index_images([upload(b"x")], limits=limits))
        assert time.monotonic() - began < 10

    async def test_what_the_uploads_raise_comes_after_the_answers(self) -> None:
        async def uploads() -> AsyncIterator[pb.ImageUpload]:
            yield upload(b"x")
            yield upload(b"y")
            raise KeyError("the source broke")

        async with served(Faulty()) as address, AsyncClient(address) as client:
            outcomes = client.index_images(uploads())
            assert (await anext(outcomes)).number == 0
            assert (await anext(outcomes)).number == 1
            with pytest.raises(KeyError, match="the source broke"):
                await anext(outcomes)

    async def test_leaving_the_loop_ends_source_and_stream(self) -> None:
        closed = asyncio.Event()

        async def uploads() -> AsyncIterator[pb.ImageUpload]:
            try:
                while True:
                    yield upload(b"x")
            finally:
                closed.set()

        async with served(Faulty()) as address, AsyncClient(address) as client:
            stream = client.index_images(uploads())
            assert (await anext(stream)).indexed is not None
            await stream.aclose()
            assert closed.is_set()

    async def test_uploads_are_read_as_there_is_room(self) -> None:
        read = 0

        def uploads() -> Iterator[pb.ImageUpload]:
            nonlocal read
            for _ in range(100):
                read += 1
                yield upload(b"0123456789")

        limits = UploadLimits(max_bytes_in_flight=50)
        async with served(Faulty()) as address, AsyncClient(address) as client:
            stream = client.index_images(uploads(), limits=limits)
            await anext(stream)
            await asyncio.sleep(0.2)  # nobody takes the other answers
            assert read <= 8
            assert len([o async for o in stream]) == 99

    async def test_an_answer_that_stops_coming_is_an_error_and_leaving_cancels(self) -> None:
        faulty = Faulty()
        async with (
            served(faulty) as address,
            AsyncClient(address, idle_timeout=0.3) as client,
        ):
            answers = client.find_duplicates()
            assert (await anext(answers)).progress.scan_id == "s"
            with pytest.raises(DeadlineError):
                await anext(answers)
            again = client.find_duplicates()
            await anext(again)
            await again.aclose()

            async def all_closed() -> None:
                assert not faulty.calls["open"]

            await eventually(all_closed, timeout_s=5)

    async def test_a_closed_client_says_so(self) -> None:
        client = await asyncio.to_thread(Client, "127.0.0.1:1")
        await asyncio.to_thread(client.close)
        await asyncio.to_thread(client.close)
        with pytest.raises(RuntimeError, match="closed"):
            client.get_status()
