"""One request is known by one id, in lines, errors and calls onwards; lines do not flood."""

from __future__ import annotations

import asyncio
import logging

import pytest
import structlog
from google.rpc import error_details_pb2

from service_kit import request_context, telemetry
from service_kit.errors import UnavailableError
from service_kit.log_throttle import Throttle
from service_kit.workers import Workers

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


async def test_an_id_that_comes_along_is_kept() -> None:
    request_context.begin([("x-request-id", "order-66"), ("other", "x")])

    assert request_context.request_id() == "order-66"
    assert request_context.onward() == (("x-request-id", "order-66"),)


@pytest.mark.parametrize("wrong", ["", "with space", "x" * 129, "new\nline", "ümlaut"])
async def test_an_id_that_would_spoil_a_log_is_replaced(wrong: str) -> None:
    made = request_context.begin([("x-request-id", wrong)])

    assert len(made.request_id) == 32
    assert made.request_id != request_context.begin([]).request_id


async def test_the_headers_of_a_trace_are_passed_on() -> None:
    request_context.begin([("traceparent", TRACE), ("tracestate", "a=b"), ("x-secret-bin", b"x")])

    assert request_context.onward()[1:] == (("traceparent", TRACE), ("tracestate", "a=b"))
    assert request_context.trace_ids() == ("a" * 32, "b" * 16)


async def test_requests_do_not_see_one_another() -> None:
    async def answer(name: str) -> str:
        request_context.begin([("x-request-id", name)])
        await asyncio.sleep(0)
        return request_context.request_id()

    assert await asyncio.gather(*map(answer, "abc")) == ["a", "b", "c"]


async def test_an_error_tells_the_id_once() -> None:
    request_context.begin([("x-request-id", "order-66")])
    status = request_context.told(request_context.told(UnavailableError("no").to_status()))
    told = [d for d in status.details if d.Is(error_details_pb2.RequestInfo.DESCRIPTOR)]
    info = error_details_pb2.RequestInfo()

    assert len(told) == 1
    assert told[0].Unpack(info)
    assert info.request_id == "order-66"


async def test_lines_of_a_request_carry_its_id_in_threads_too() -> None:
    request_context.begin([("x-request-id", "order-66"), ("traceparent", TRACE)])
    async with Workers("test", 1) as workers:
        event = await workers.run(telemetry.tied, None, "info", {"event": "x"})

    assert event["request_id"] == "order-66"
    assert event["trace_id"] == "a" * 32


async def test_work_for_many_requests_is_of_none() -> None:
    request_context.begin([])
    request_context.leave()

    assert request_context.request_id() == ""
    assert request_context.onward() == ()
    assert telemetry.tied(None, "info", {"event": "x"}) == {"event": "x"}


class TestThrottle:
    def test_lets_few_lines_of_a_kind_through_a_second_and_says_how_many_it_left_out(self) -> None:
        now = 0.0
        throttle = Throttle(most=2, clock=lambda: now)

        def written(**line: object) -> dict[str, object] | None:
            try:
                return dict(throttle.processor(None, "", {"level": "warning", **line}))
            except structlog.DropEvent:
                return None

        first = [written(event="call", code="UNAVAILABLE") for _ in range(5)]
        other = written(event="call", code="INTERNAL")
        now = 1.0
        later = written(event="call", code="UNAVAILABLE")

        assert [line is not None for line in first] == [True, True, False, False, False]
        assert other is not None
        assert later is not None
        assert later["not_logged"] == 3

    def test_holds_nothing_back_that_is_no_warning(self) -> None:
        throttle = Throttle(most=1, clock=lambda: 0.0)
        lines = [throttle.processor(None, "", {"level": "info", "event": "call"}) for _ in range(9)]

        assert len(lines) == 9

    def test_remembers_a_bounded_number_of_kinds(self) -> None:
        throttle = Throttle(most=1, clock=lambda: 0.0)
        for n in range(5_000):
            throttle.processor(None, "", {"level": "error", "event": n})

        assert len(throttle._kinds) <= 1_000

    def test_holds_libraries_lines_back_too(self) -> None:
        throttle = Throttle(most=1, clock=lambda: 0.0)
        record = logging.LogRecord("lib", logging.WARNING, "f", 1, "%s is away", ("x",), None)

        assert throttle.filter(record)
        assert not throttle.filter(record)


async def test_a_pool_of_threads_says_how_many_wait() -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result()

    async with Workers("test", 1) as workers:
        tasks = [asyncio.create_task(workers.run(work)) for _ in range(3)]
        await begun.wait()

        assert (workers.running, workers.waiting) == (1, 2)
        go.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)
        assert workers.waiting == 0
    assert workers.running == 0
