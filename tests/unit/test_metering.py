"""Calls of a server of one's own are counted by what became of them, whatever they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from prometheus_client import CollectorRegistry, generate_latest

from service_kit import metering
from service_kit.call_metrics import CallMetrics, code_label
from service_kit.client import channel
from service_kit.errors import UnavailableError
from service_kit.interceptors import AroundInterceptor, Call, statuses
from tests.helpers import each, eventually
from tests.scraping import Scrape

SERVICE = "test.Echo"
TYPES = {"Say": "unary", "Tell": "server_stream", "Hear": "client_stream", "Talk": "bidi_stream"}


async def say(request: StringValue, context: Any) -> StringValue:
    if request.value == "bug":
        raise RuntimeError("a bug")
    if request.value == "slow":
        await asyncio.sleep(60)
    return request


async def tell(request: StringValue, context: Any) -> AsyncIterator[StringValue]:
    for _ in range(3):
        yield await say(request, context)


async def hear(requests: AsyncIterator[StringValue], context: Any) -> StringValue:
    return StringValue(value="".join([request.value async for request in requests]))


async def talk(requests: AsyncIterator[StringValue], context: Any) -> AsyncIterator[StringValue]:
    async for request in requests:
        yield await say(request, context)


class Echo:
    """A server, and how to call it.

    Attributes:
        refusing: What calls are refused with before they reach the service.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refusing: Exception | None = None
        self.calls_made = CollectorRegistry()
        self.method: dict[str, Any] = {}

    @asynccontextmanager
    async def refuse(self, call: Call, context: Any) -> AsyncIterator[None]:
        if self.refusing is not None:
            raise self.refusing
        yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        around = (statuses, metering.counting_errors(self.registry), self.refuse)
        metered = metering.Metering(self.registry, ()).wrap
        server = grpc.aio.server(interceptors=[AroundInterceptor(around, metered)])
        coding = {
            "request_deserializer": StringValue.FromString,
            "response_serializer": StringValue.SerializeToString,
        }
        made: Any = {
            "Say": grpc.unary_unary_rpc_method_handler(say, **coding),
            "Tell": grpc.unary_stream_rpc_method_handler(tell, **coding),
            "Hear": grpc.stream_unary_rpc_method_handler(hear, **coding),
            "Talk": grpc.stream_stream_rpc_method_handler(talk, **coding),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, made),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        metrics = CallMetrics(self.calls_made, "client")
        async with channel(f"127.0.0.1:{port}", metrics=metrics) as opened:
            code = (StringValue.SerializeToString, StringValue.FromString)
            kinds = (
                ("Say", opened.unary_unary),
                ("Tell", opened.unary_stream),
                ("Hear", opened.stream_unary),
                ("Talk", opened.stream_stream),
            )
            self.method = {name: kind(f"/{SERVICE}/{name}", *code) for name, kind in kinds}
            try:
                yield
            finally:
                await server.stop(0)

    async def counts(self, side: str, method: str, code: str, count: float) -> None:
        """Waits until so many calls have ended so, and all that began have."""

        async def check() -> None:
            seen = self.seen(side)
            labels = {"grpc_service": SERVICE, "grpc_method": method, "grpc_type": TYPES[method]}
            name = f"grpc_{side}"
            assert seen.value(f"{name}_handled_total", **labels, grpc_code=code) == count
            assert seen.value(f"{name}_in_flight", **labels) == 0
            ended = seen.value(f"{name}_handling_seconds_count", **labels)
            assert ended == seen.value(f"{name}_started_total", **labels)

        await eventually(check, timeout_s=10, pause_s=0.02)

    def seen(self, side: str = "server") -> Scrape:
        registry = self.registry if side == "server" else self.calls_made
        return Scrape(generate_latest(registry).decode())


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    async with made.running():
        yield made


HELLO = StringValue(value="hello")


@pytest.mark.parametrize("side", ["server", "client"])
async def test_calls_of_all_kinds_are_counted_on_both_sides(echo: Echo, side: str) -> None:
    await echo.method["Say"](HELLO)
    assert [answer async for answer in echo.method["Tell"](HELLO)] == [HELLO] * 3
    await echo.method["Hear"](each([HELLO] * 4))
    assert [answer async for answer in echo.method["Talk"](each([HELLO] * 5))] == [HELLO] * 5

    for method in TYPES:
        await echo.counts(side, method, "OK", 1)


async def test_messages_are_counted(echo: Echo) -> None:
    await echo.method["Say"](HELLO)
    _ = [answer async for answer in echo.method["Tell"](HELLO)]
    await echo.method["Hear"](each([HELLO] * 4))
    _ = [answer async for answer in echo.method["Talk"](each([HELLO] * 5))]
    await echo.counts("server", "Talk", "OK", 1)

    for method, received, sent in (("Say", 1, 1), ("Tell", 1, 3), ("Hear", 4, 1), ("Talk", 5, 5)):
        labels = {"grpc_method": method}
        assert echo.seen().value("grpc_server_msg_received_total", **labels) == received
        assert echo.seen().value("grpc_server_msg_sent_total", **labels) == sent


@pytest.mark.parametrize("method", TYPES)
async def test_what_an_interceptor_refuses_is_counted(echo: Echo, method: str) -> None:
    echo.refusing = UnavailableError("not now")
    request = each([HELLO]) if TYPES[method] in ("client_stream", "bidi_stream") else HELLO
    call = echo.method[method](request)

    assert await call.code() is grpc.StatusCode.UNAVAILABLE

    await echo.counts("server", method, "Unavailable", 1)
    reason = {"grpc_method": method, "reason": "UNAVAILABLE"}
    assert echo.seen().value("imagesearch_errors_total", **reason) == 1


async def test_a_bug_is_internal(echo: Echo) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await echo.method["Say"](StringValue(value="bug"))

    for side in ("server", "client"):
        await echo.counts(side, "Say", "Internal", 1)


@pytest.mark.parametrize("method", ["Say", "Tell"])
async def test_a_caller_that_leaves_is_no_deadline(echo: Echo, method: str) -> None:
    call = echo.method[method](StringValue(value="slow"), timeout=60)

    async def has_begun() -> None:
        assert echo.seen().value("grpc_server_in_flight", grpc_method=method) == 1

    await eventually(has_begun, timeout_s=10, pause_s=0.02)
    call.cancel()

    for side in ("server", "client"):
        await echo.counts(side, method, "Cancelled", 1)


async def test_a_deadline_that_passes_is_one(echo: Echo) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await echo.method["Say"](StringValue(value="slow"), timeout=0.2)

    for side in ("server", "client"):
        await echo.counts(side, "Say", "DeadlineExceeded", 1)


async def test_methods_that_there_are_not_are_counted_under_one_name() -> None:
    """Callers may make up any number of them; the guard refuses them as "unknown"."""
    registry = CollectorRegistry()
    wrapped = metering.Metering(registry, ()).wrap("unknown", "unary_unary", say)
    await wrapped(HELLO, NoContext())

    labels = {"grpc_service": "unknown", "grpc_method": "unknown"}
    seen = Scrape(generate_latest(registry).decode())
    assert seen.value("grpc_server_handled_total", **labels) == 1


class NoContext:
    """Of a call that set no code."""

    def code(self) -> None:
        return None


def test_codes_are_written_as_go_writes_them() -> None:
    assert [code_label(code) for code in (grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND)] == [
        "OK",
        "NotFound",
    ]
