"""service_kit.admission on a real server: who is let in, who is refused, and that nothing leaks."""

from __future__ import annotations

import asyncio
import functools
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagesearch.embedder.v1 import embedder_service_pb2 as pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as pb_grpc
from imagesearch.gateway.v1 import image_search_service_pb2, image_search_service_pb2_grpc

import gateway.server
import gateway.settings
from embedder_service.errors import QueueFullError
from image_kit.headers import pixels_of
from imagesearch_client.errors import OverloadedError, from_rpc_error
from service_kit.client import channel
from service_kit.errors import StoppingError, UnavailableError
from service_kit.server import Endpoint, PixelLimit, serving
from service_kit.settings import ServerSettings
from tests.helpers import a_picture, eventually, refusal

if TYPE_CHECKING:
    from imagesearch.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub

_NAME = pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name
EMBED = f"/{_NAME}/Embed"

Work = Callable[[], Awaitable[None]]


class Servicer(pb_grpc.EmbedderServiceServicer):
    """Does what a test says, and counts.

    Attributes:
        running: Calls being worked on.
        most: Most of them at a time.
        begun: Calls that were.
        address: Of its server.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self.running = 0
        self.most = 0
        self.begun = 0
        self.address = ""

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedResponse:
        await self._run()
        return pb.EmbedResponse()

    async def StreamEmbed(
        self, request_iterator: AsyncIterator[pb.StreamEmbedRequest], context: Any
    ) -> AsyncIterator[pb.StreamEmbedResponse]:
        async for request in request_iterator:
            yield pb.StreamEmbedResponse(request_id=request.request_id)

    async def _run(self) -> None:
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self._work()
        finally:
            self.running -= 1


@asynccontextmanager
async def server(
    work: Work, pixels: PixelLimit | None = None, **settings: Any
) -> AsyncIterator[tuple[Servicer, EmbedderServiceAsyncStub, grpc.aio.Channel]]:
    """A server, its stub and its channel."""
    servicer = Servicer(work)
    endpoint = Endpoint(
        _NAME, lambda to: pb_grpc.add_EmbedderServiceServicer_to_server(servicer, to)
    )
    settings_of_it = ServerSettings(grace_s=1, **settings)
    async with serving(settings_of_it, [endpoint], pixels=pixels) as port:
        servicer.address = f"127.0.0.1:{port}"
        async with channel(servicer.address, idempotent=[EMBED[1:]]) as opened:
            yield servicer, pb_grpc.EmbedderServiceStub(opened), opened


def a_request(size: int = 10) -> pb.EmbedRequest:
    return pb.EmbedRequest(inputs=[pb.EmbedInput(image=b"x" * size)])


class TestCalls:
    async def test_in_every_wave_as_many_are_let_in_as_there_are_places(self) -> None:
        """That grpc's own limit forgot itself after the first wave is why there is ours."""
        done = asyncio.Event()
        async with server(done.wait, max_calls=4) as (servicer, stub, _):
            for _ in range(6):
                done.clear()
                calls = [stub.Embed(a_request(), timeout=60) for _ in range(60)]
                await eventually(lambda calls=calls: ended_but(calls, 4), pause_s=0.01)
                done.set()
                ended = await asyncio.gather(*(call.code() for call in calls))

                assert ended.count(grpc.StatusCode.OK) == 4
                assert ended.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 56
            assert servicer.most == 4
            assert servicer.begun == 24

    async def test_the_refused_learn_when_to_come_back(self) -> None:
        done = asyncio.Event()
        async with server(done.wait, max_calls=1) as (servicer, stub, _):
            first = stub.Embed(a_request(), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

            refused = await refusal(stub.Embed(a_request(), timeout=30))
            done.set()
            await first

            assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.reason == "OVERLOADED"
            assert refused.retry
            await stub.Embed(a_request(), timeout=30)

    async def test_health_is_never_refused(self) -> None:
        done = asyncio.Event()
        async with server(done.wait, max_calls=1) as (servicer, stub, opened):
            first = stub.Embed(a_request(), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

            health = health_pb2_grpc.HealthStub(opened)
            answers = [
                await health.Check(health_pb2.HealthCheckRequest(), timeout=10) for _ in range(20)
            ]
            done.set()
            await first

            assert {each.status for each in answers} == {health_pb2.HealthCheckResponse.SERVING}

    async def test_whoever_leaves_frees_a_place(self) -> None:
        async with server(lambda: asyncio.sleep(60), max_calls=2) as (servicer, stub, _):
            for turn in range(1, 6):
                calls = [stub.Embed(a_request(), timeout=30) for _ in range(2)]
                await eventually(lambda turn=turn: all_begun(servicer, 2 * turn), pause_s=0.01)
                for call in calls:
                    call.cancel()
                await eventually(lambda: all_refused_but(servicer, 0), pause_s=0.01)

            assert servicer.begun == 10
            assert servicer.most == 2

    async def test_a_call_cancelled_before_its_request_has_come_frees_a_place(self) -> None:
        """Its handler never runs."""
        async with server(lambda: asyncio.sleep(0), max_calls=2) as (_, stub, opened):
            silent = opened.stream_unary(EMBED)  # sends headers, and no request

            async def take_all_places() -> list[Any]:
                calls = [silent(timeout=30) for _ in range(2)]
                await asyncio.sleep(0.2)  # they must come before the one that finds no place
                try:
                    code = await stub.Embed(a_request(), timeout=30).code()
                    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
                except AssertionError:
                    await leave(calls)
                    raise
                return calls

            async def leave(calls: list[Any]) -> None:
                for call in calls:
                    call.cancel()

            async def be_let_in() -> None:
                await stub.Embed(a_request(), timeout=30)

            for _ in range(3):
                await leave(await eventually(take_all_places))
                await eventually(be_let_in)

    async def test_pace_counts_where_calls_must_be_answered_in_time(self) -> None:
        one_at_a_time = asyncio.Lock()

        async def work() -> None:
            async with one_at_a_time:
                await asyncio.sleep(0.02)

        async def no_more_than_that() -> None:
            servicer.most = 0
            await asyncio.sleep(0.5)
            assert 8 <= servicer.most <= 40  # fifty a second could be answered, 25 in time

        async with server(work, max_calls=512, max_wait_s=0.5) as (servicer, stub, _):
            asking = [asyncio.create_task(ask_for_ever(stub)) for _ in range(300)]
            try:
                await eventually(no_more_than_that)
            finally:
                for task in asking:
                    task.cancel()


async def ask_for_ever(stub: EmbedderServiceAsyncStub) -> None:
    while True:
        code = await stub.Embed(a_request(), timeout=30).code()
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            await asyncio.sleep(0.3)


async def all_refused_but(servicer: Servicer, running: int) -> None:
    assert servicer.running == running


async def ended_but(calls: list[Any], left: int) -> None:
    assert sum(not call.done() for call in calls) == left


async def all_begun(servicer: Servicer, begun: int) -> None:
    assert servicer.begun == begun


class TestBytes:
    async def test_a_request_for_which_there_is_no_room_is_not_read(self) -> None:
        done = asyncio.Event()
        async with server(done.wait, max_request_bytes=1_000_000) as (servicer, stub, _):
            first = stub.Embed(a_request(700_000), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

            refused = await refusal(stub.Embed(a_request(700_000), timeout=30))
            small = stub.Embed(a_request(100_000), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 2), pause_s=0.01)
            done.set()
            await asyncio.gather(first, small)

            assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.reason == "OVERLOADED"
            assert servicer.begun == 2
            await stub.Embed(a_request(700_000), timeout=30)

    async def test_one_larger_than_all_that_is_allowed_goes_alone(self) -> None:
        async with server(lambda: asyncio.sleep(0), max_request_bytes=1_000) as (_, stub, _c):
            for _ in range(3):
                await stub.Embed(a_request(50_000), timeout=30)

    async def test_large_requests_are_refused_without_waiting_for_them(self) -> None:
        done = asyncio.Event()
        async with server(done.wait, max_calls=1) as (servicer, stub, _):
            first = stub.Embed(a_request(), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

            calls = [stub.Embed(a_request(20_000_000), timeout=30) for _ in range(5)]
            ended = await asyncio.gather(*(call.code() for call in calls))
            done.set()
            await first

            assert set(ended) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            await stub.Embed(a_request(20_000_000), timeout=30)


def of_pixels(*millions: int) -> pb.EmbedRequest:
    """A request of small files with so many millions of pixels each."""
    inputs = [pb.EmbedInput(image=a_header(1_000_000 * each)) for each in millions]
    return pb.EmbedRequest(inputs=inputs)


def a_header(pixels: int) -> bytes:
    """As much of a PNG as says how large it is, and where its pixels would begin."""
    sides = struct.pack(">II", 1_000, pixels // 1_000)
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + sides + bytes(9) + b"\0\0\0\0IDAT"


class TestPixels:
    LIMIT = PixelLimit(100_000_000, functools.partial(pixels_of, most=64_000_000))

    async def test_small_files_of_many_pixels_are_refused_while_there_is_no_room(self) -> None:
        done = asyncio.Event()
        async with server(done.wait, self.LIMIT) as (servicer, stub, _):
            first = stub.Embed(of_pixels(30, 40), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

            refused = await refusal(stub.Embed(of_pixels(20, 20), timeout=30))
            small = stub.Embed(of_pixels(30), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 2), pause_s=0.01)
            done.set()
            await asyncio.gather(first, small)

            assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.reason == "OVERLOADED"
            assert refused.retry
            assert servicer.begun == 2
            await stub.Embed(of_pixels(20, 20), timeout=30)

    async def test_one_with_more_than_all_that_is_allowed_goes_alone(self) -> None:
        done = asyncio.Event()
        async with server(done.wait, self.LIMIT) as (servicer, stub, _):
            large = stub.Embed(of_pixels(*[64] * 10), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

            other = await refusal(stub.Embed(of_pixels(1), timeout=30))
            text = stub.Embed(pb.EmbedRequest(inputs=[pb.EmbedInput(text="a cat")]), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 2), pause_s=0.01)
            done.set()
            await asyncio.gather(large, text)

            assert other.reason == "OVERLOADED"
            await stub.Embed(of_pixels(1), timeout=30)

    async def test_whoever_leaves_frees_the_pixels(self) -> None:
        async with server(lambda: asyncio.sleep(60), self.LIMIT) as (servicer, stub, _):
            for turn in range(1, 4):
                call = stub.Embed(of_pixels(64, 30), timeout=30)
                await eventually(lambda turn=turn: all_begun(servicer, turn), pause_s=0.01)
                call.cancel()
                await eventually(lambda: all_refused_but(servicer, 0), pause_s=0.01)

    async def test_bytes_that_are_no_image_reach_the_service_beside_a_large_one(self) -> None:
        """It says what is wrong with them, which is no lack of room."""
        done = asyncio.Event()
        async with server(done.wait, self.LIMIT) as (servicer, stub, _):
            first = stub.Embed(of_pixels(64, 36), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

            hostile = [b"", b"\0", b"\xff" * 1_000, b"<svg" * 1_000, b"P6\n" + b"9" * 5_000]
            calls = [
                stub.Embed(pb.EmbedRequest(inputs=[pb.EmbedInput(image=data)]), timeout=30)
                for data in hostile
            ]
            await eventually(lambda: all_refused_but(servicer, 1 + len(hostile)), pause_s=0.01)
            done.set()
            await asyncio.gather(first, *calls)

    async def test_broken_headers_count_as_the_largest_image(self) -> None:
        done = asyncio.Event()
        async with server(done.wait, self.LIMIT) as (servicer, stub, _):
            broken = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0\xff"]
            first = stub.Embed(of_pixels(36), timeout=30)
            await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

            for data in broken:
                request = pb.EmbedRequest(inputs=[pb.EmbedInput(image=data)])
                call = stub.Embed(request, timeout=30)
                await eventually(lambda: all_refused_but(servicer, 2), pause_s=0.01)
                refused = await refusal(stub.Embed(request, timeout=30))
                call.cancel()
                await eventually(lambda: all_refused_but(servicer, 1), pause_s=0.01)

                assert refused.reason == "OVERLOADED"
            done.set()
            await first


class TestStreams:
    async def test_streams_have_places_of_their_own(self) -> None:
        async with server(lambda: asyncio.sleep(0), max_calls=1, max_streams=2) as (_, stub, _c):
            streams = [stub.StreamEmbed(timeout=30) for _ in range(2)]
            for stream in streams:
                await stream.write(pb.StreamEmbedRequest(request_id="1"))
                await stream.read()

            refused = await stub.StreamEmbed(timeout=30).code()
            await stub.Embed(a_request(), timeout=30)
            await streams[0].done_writing()
            assert await streams[0].code() is grpc.StatusCode.OK
            third = stub.StreamEmbed(timeout=30)
            await third.write(pb.StreamEmbedRequest(request_id="2"))

            assert refused is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await third.read()).request_id == "2"
            third.cancel()
            streams[1].cancel()


class TestGateway:
    async def test_what_the_embedder_refuses_is_passed_on_with_when_to_come_back(
        self, search_address: str
    ) -> None:
        """Its queue may be full of others' calls; how long they take it knows best."""

        async def refuse() -> None:
            raise QueueFullError(512, timedelta(seconds=7))

        async with server(refuse) as (embedder, _, _c):
            settings = gateway.settings.Settings(
                listen="127.0.0.1:0",
                embedder=embedder.address,
                search=search_address,
                store_url="memory://",
                grace_s=1,
            )
            async with (
                gateway.server.running(settings) as port,
                channel(f"127.0.0.1:{port}") as opened,
            ):
                images = image_search_service_pb2_grpc.ImageSearchServiceStub(opened)
                request = image_search_service_pb2.SearchByImageRequest(image=a_picture(1))
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await images.SearchByImage(request, timeout=30)

        refused = from_rpc_error(caught.value)
        assert isinstance(refused, OverloadedError)
        assert refused.reason == "QUEUE_FULL"
        assert refused.retry_after == timedelta(seconds=7)
        assert embedder.begun == 1

    async def test_it_counts_pixels_before_it_decodes(self, search_address: str) -> None:
        done = asyncio.Event()
        async with server(done.wait) as (embedder, _, _c):
            picture = a_picture(1, 200)
            settings = gateway.settings.Settings(
                listen="127.0.0.1:0",
                embedder=embedder.address,
                search=search_address,
                store_url="memory://",
                grace_s=1,
                max_request_pixels=3 * 200 * 200,
            )
            async with (
                gateway.server.running(settings) as port,
                channel(f"127.0.0.1:{port}") as opened,
            ):
                images = image_search_service_pb2_grpc.ImageSearchServiceStub(opened)
                request = image_search_service_pb2.SearchByImageRequest(image=picture)
                large = image_search_service_pb2.SearchByImageRequest(image=a_header(10_000_000))
                first = images.SearchByImage(request, timeout=30)
                await eventually(lambda: all_begun(embedder, 1), pause_s=0.01)

                refused = await refusal(images.SearchByImage(large, timeout=30))
                first.cancel()

        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.reason == "OVERLOADED"
        assert embedder.begun == 1


class TestRetries:
    @pytest.mark.parametrize(
        ("error", "attempts"),
        [(UnavailableError("the store does not answer"), 1), (StoppingError(), 3)],
    )
    async def test_transports_try_again_only_what_another_server_may_do(
        self, error: Exception, attempts: int
    ) -> None:
        async def fail() -> None:
            raise error

        async with server(fail) as (servicer, stub, _):
            refused = await refusal(stub.Embed(a_request(), timeout=30))

            assert refused.code is grpc.StatusCode.UNAVAILABLE
            assert refused.retry
            assert servicer.begun == attempts
