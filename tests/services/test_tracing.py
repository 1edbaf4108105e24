"""One tree of spans from a client's program to Elasticsearch, and one id in all logs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from imagesearch_client import AsyncClient, Client, ImageSearchError, NotFoundError, upload
from imagesearch_dev.elasticsearch.node import free_port
from imagesearch_dev.processes import Process
from service_kit import tracing
from tests.helpers import a_picture, eventually
from tests.services.observed import Observed, running

GATEWAY = "imagesearch.gateway.v1.ImageSearchService"
EMBEDDER = "imagesearch.embedder.v1.EmbedderService"
SEARCH = "imagesearch.search.v1.SearchService"

KEY = "a-key-that-no-span-may-tell"


class Spans:
    """What was traced."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.exporter = exporter

    def of(self, trace_id: int) -> list[ReadableSpan]:
        return [s for s in self.exporter.get_finished_spans() if s.context.trace_id == trace_id]

    def path(self, span: ReadableSpan) -> list[str]:
        """Names from the root to a span; of calls the side too."""
        by_id = {s.context.span_id: s for s in self.of(span.context.trace_id)}
        names: list[str] = []
        at: ReadableSpan | None = span
        while at is not None:
            side = f"{at.kind.name} " if at.kind is not SpanKind.INTERNAL else ""
            names.insert(0, side + at.name)
            assert at.parent is None or at.parent.span_id in by_id, f"{names} hang in the air"
            at = by_id[at.parent.span_id] if at.parent is not None else None
        return names

    async def paths(self, trace_id: int, *wanted: list[str]) -> None:
        """Waits until a trace has these paths: the last spans end after the answer."""

        async def check() -> None:
            found = [self.path(span) for span in self.of(trace_id)]
            for path in wanted:
                assert path in found, "\n".join(map(str, found))

        await eventually(check, timeout_s=10)


@pytest.fixture(scope="module")
def spans() -> Iterator[Spans]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield Spans(exporter)
    provider.shutdown()


@pytest.fixture(scope="module")
async def traced(
    spans: Spans, elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Observed]:
    tracing.switch_on()
    try:
        async with running(elasticsearch_url, tmp_path_factory.mktemp("traced")) as services:
            yield services
    finally:
        tracing.switch_off()


@pytest.fixture
async def client(traced: Observed) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(traced.gateway, api_key=KEY) as opened:
        yield opened


def in_program() -> Any:
    """A span of the client's program, the root of a trace of its own."""
    return trace.get_tracer("a program").start_as_current_span("program", context=Context())


CALL = ["program", f"CLIENT {GATEWAY}/SearchByText", f"SERVER {GATEWAY}/SearchByText"]


async def test_a_search_is_one_tree_from_the_program_to_elasticsearch(
    spans: Spans, client: AsyncClient, new_index: str
) -> None:
    await client.index_image(upload(a_picture(1)), index=new_index)
    with in_program() as program:
        await client.search_by_text("a text of its own", index=new_index)

    embed = [*CALL, f"CLIENT {EMBEDDER}/Embed", f"SERVER {EMBEDDER}/Embed", "embed text"]
    search = [*CALL, f"CLIENT {SEARCH}/Search", f"SERVER {SEARCH}/Search"]
    await spans.paths(
        program.get_span_context().trace_id,
        ["program"],
        [*embed, "prepare"],
        [*embed, "queue"],
        [*embed, "compute"],
        [*search, "search"],
    )


async def test_a_stream_is_one_tree_too(spans: Spans, client: AsyncClient, new_index: str) -> None:
    with in_program() as program:
        uploads = [upload(a_picture(n)) for n in range(20, 24)]
        outcomes = [each async for each in client.index_images(uploads, index=new_index)]

    assert all(outcome.error is None for outcome in outcomes)
    call = ["program", f"CLIENT {GATEWAY}/IndexImages", f"SERVER {GATEWAY}/IndexImages"]
    embedding = [*call, f"CLIENT {EMBEDDER}/StreamEmbed", f"SERVER {EMBEDDER}/StreamEmbed"]
    upserting = [*call, f"CLIENT {SEARCH}/UpsertDocuments", f"SERVER {SEARCH}/UpsertDocuments"]
    trace_id = program.get_span_context().trace_id
    await spans.paths(
        trace_id,
        [*call, "store image", "prepare"],
        [*call, "store image", "store write"],
        [*embedding, "embed image", "compute"],
        [*upserting, "queue"],
        [*upserting, "write together", "bulk"],
    )
    stored = [span for span in spans.of(trace_id) if span.name == "store image"]
    assert len(stored) == 4


async def test_an_error_is_where_it_happened(
    spans: Spans, client: AsyncClient, new_index: str
) -> None:
    with in_program() as program, pytest.raises(NotFoundError):
        await client.get_image("0" * 64, index=new_index)

    trace_id = program.get_span_context().trace_id
    server = ["program", f"CLIENT {GATEWAY}/GetImage", f"SERVER {GATEWAY}/GetImage"]
    await spans.paths(
        trace_id, [*server, f"CLIENT {SEARCH}/GetDocuments", f"SERVER {SEARCH}/GetDocuments"]
    )
    for span in spans.of(trace_id):
        if span.kind is not SpanKind.INTERNAL:
            assert span.attributes is not None
            assert span.attributes["rpc.response.status_code"] == "NOT_FOUND"
            # The caller's mistake: it failed for who called, not for who answered.
            failed = span.status.status_code is StatusCode.ERROR
            assert failed == (span.kind is SpanKind.CLIENT)


async def test_a_client_without_asyncio_carries_the_trace_too(
    spans: Spans, traced: Observed
) -> None:
    def ask() -> int:
        with Client(traced.gateway) as client, in_program() as program:
            client.get_status()
        return program.get_span_context().trace_id

    trace_id = await asyncio.to_thread(ask)

    call = ["program", f"CLIENT {GATEWAY}/GetStatus", f"SERVER {GATEWAY}/GetStatus"]
    await spans.paths(
        trace_id, [*call, f"CLIENT {EMBEDDER}/ListModels", f"SERVER {EMBEDDER}/ListModels"]
    )


async def test_a_request_of_the_page_is_traced_to_the_gateway(
    spans: Spans, traced: Observed
) -> None:
    parent = f"00-{'5' * 32}-{'6' * 16}-01"
    headers = {"traceparent": parent, "x-request-id": "from-the-browser"}
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(f"{traced.web}/api/v1/status", headers=headers)

    assert answer.headers["x-request-id"] == "from-the-browser"
    trace_id = int("5" * 32, 16)

    async def check() -> None:
        found = {(span.kind, span.name): span for span in spans.of(trace_id)}
        page = found[SpanKind.SERVER, "GET /api/v1/status"]
        call = found[SpanKind.CLIENT, f"{GATEWAY}/GetStatus"]
        assert page.parent is not None
        assert page.parent.span_id == int("6" * 16, 16)
        assert call.parent is not None
        assert call.parent.span_id == page.context.span_id
        answered = found[SpanKind.SERVER, f"{GATEWAY}/GetStatus"]
        assert answered.attributes is not None
        assert answered.attributes["imagesearch.request_id"] == "from-the-browser"

    await eventually(_as_assertion(check), timeout_s=10)


def _as_assertion(check: Any) -> Any:
    async def checked() -> None:
        try:
            await check()
        except KeyError as missing:
            raise AssertionError(missing) from missing

    return checked


async def test_a_batch_is_linked_with_the_calls_it_is_computed_for(
    spans: Spans, traced: Observed
) -> None:
    before = {span.context.span_id for span in spans.exporter.get_finished_spans()}
    async with grpc.aio.insecure_channel(traced.embedder) as channel:
        stub = embedder_grpc.EmbedderServiceStub(channel)

        async def round_of_calls(number: int) -> None:
            texts = [f"text {number} {n}" for n in range(64)]
            await asyncio.gather(
                *(
                    stub.Embed(embedder_pb.EmbedRequest(inputs=[embedder_pb.EmbedInput(text=text)]))
                    for text in texts
                )
            )

        for number in range(20):
            await round_of_calls(number)
            done = spans.exporter.get_finished_spans()
            ours = [s for s in done if s.context.span_id not in before]
            shared = [s for s in ours if s.name == "compute" and len(s.links) > 1]
            if shared:
                break

    assert shared, "64 calls at a time, and never two in a batch"
    batch = shared[0]
    assert batch.attributes is not None
    assert batch.attributes["imagesearch.batch_size"] == len(batch.links)
    linked = {link.context.span_id for link in batch.links}

    async def ended() -> list[ReadableSpan]:
        done = spans.exporter.get_finished_spans()
        waits = [s for s in done if s.name == "queue" and s.context.span_id in linked]
        assert len(waits) == len(linked)
        return waits

    waits = await eventually(ended)
    assert len({wait.context.trace_id for wait in waits}) == len(linked)
    for wait in waits:
        assert [link.context.span_id for link in wait.links] == [batch.context.span_id]


async def test_a_trace_that_is_not_sampled_stays_so(
    spans: Spans, traced: Observed, new_index: str
) -> None:
    parent = f"00-{'7' * 32}-{'8' * 16}-00"
    async with grpc.aio.insecure_channel(traced.gateway) as channel:
        stub = pb_grpc.ImageSearchServiceStub(channel)
        await stub.GetStatus(pb.GetStatusRequest(), metadata=(("traceparent", parent),))
    await asyncio.sleep(0.2)

    assert spans.of(int("7" * 32, 16)) == []


async def test_what_no_call_asked_for_is_not_traced(spans: Spans, traced: Observed) -> None:
    """Health is looked after every second; nobody wants a trace of each."""
    await asyncio.sleep(1.2)
    roots = {span.name for span in spans.exporter.get_finished_spans() if span.parent is None}

    assert "cluster.health" not in roots
    assert not any("health" in name for name in roots)


async def test_a_stream_has_a_bounded_number_of_spans(
    spans: Spans, traced: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_kit.spans._MOST_SPANS", 10)
    parent = (("traceparent", f"00-{'9' * 32}-{'8' * 16}-01"),)

    async def requests() -> AsyncIterator[embedder_pb.StreamEmbedRequest]:
        for n in range(100):
            item = embedder_pb.EmbedInput(text=f"of many {n}")
            yield embedder_pb.StreamEmbedRequest(request_id=str(n), input=item)

    async with grpc.aio.insecure_channel(traced.embedder) as channel:
        stub: Any = embedder_grpc.EmbedderServiceStub(channel)
        answers = [a async for a in stub.StreamEmbed(requests(), metadata=parent)]

    assert len(answers) == 100
    of_steps = [s for s in spans.of(int("9" * 32, 16)) if s.name != "compute"]
    assert len(of_steps) <= 11


async def test_spans_tell_no_images_and_no_keys(spans: Spans, client: AsyncClient) -> None:
    with pytest.raises(ImageSearchError):
        await client.search_by_image(b"\xff\xd8 no image")
    for span in spans.exporter.get_finished_spans():
        told = [*(span.attributes or {}).items()]
        told += [pair for event in span.events for pair in (event.attributes or {}).items()]
        for name, value in told:
            assert not isinstance(value, bytes), name
            assert KEY not in str(value), name
            assert len(str(value)) < 500, name


class Collector:
    """Takes spans as a collector does.

    Attributes:
        url: What OTEL_EXPORTER_OTLP_ENDPOINT is set to.
        received: What has come.
    """

    def __init__(self) -> None:
        received: list[otlp.ExportTraceServiceRequest] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    received.append(otlp.ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self) -> dict[str, list[Any]]:
        """Spans by the service that sent them."""
        found: dict[str, list[Any]] = {}
        for request in self.received:
            for of_resource in request.resource_spans:
                attributes = {a.key: a.value.string_value for a in of_resource.resource.attributes}
                of_service = found.setdefault(attributes["service.name"], [])
                of_service += [s for scope in of_resource.scope_spans for s in scope.spans]
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as started:
        yield started


class TestProcesses:
    """The gateway and search_service as an operator starts them."""

    @pytest.fixture
    def gateway(self) -> str:
        return f"127.0.0.1:{free_port()}"

    @pytest.fixture
    async def processes(
        self,
        elasticsearch_url: str,
        embedder_address: str,
        collector: Collector,
        gateway: str,
        tmp_path: Path,
    ) -> AsyncIterator[dict[str, Process]]:
        search = f"127.0.0.1:{free_port()}"
        of_traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        env = {
            "search_service": {
                "SEARCH_LISTEN": search,
                "ELASTICSEARCH_URL": elasticsearch_url,
            },
            "gateway": {
                "GATEWAY_LISTEN": gateway,
                "GATEWAY_EMBEDDER": embedder_address,
                "GATEWAY_SEARCH": search,
                "GATEWAY_STORE_URL": (tmp_path / "store").as_uri(),
            },
        }
        started = {
            name: Process(
                name,
                (sys.executable, "-m", name),
                log=tmp_path / f"{name}.log",
                env={**of_traces, **env[name]},
            )
            for name in env
        }
        for process in started.values():
            process.start()
        yield started
        for process in started.values():
            process.stop()

    async def test_send_their_spans_and_log_one_id(
        self, processes: dict[str, Process], collector: Collector, gateway: str, new_index: str
    ) -> None:
        trace_id, caller = "c" * 32, "d" * 16
        metadata = (("traceparent", f"00-{trace_id}-{caller}-01"), ("x-request-id", "order-66"))
        request = pb.GetImageRequest(index=new_index, image_id="0" * 64)
        async with grpc.aio.insecure_channel(gateway) as channel:
            stub: Any = pb_grpc.ImageSearchServiceStub(channel)

            async def asked() -> grpc.aio.AioRpcError:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.GetImage(request, metadata=metadata, wait_for_ready=True, timeout=30)
                assert refused.value.code() is grpc.StatusCode.NOT_FOUND, refused.value.details()
                return refused.value

            error = await eventually(asked)
        for process in processes.values():
            process.stop()

        status = rpc_status.from_call(error)
        assert status is not None
        infos = [d for d in status.details if d.Is(error_details_pb2.RequestInfo.DESCRIPTOR)]
        info = error_details_pb2.RequestInfo()
        assert len(infos) == 1
        assert infos[0].Unpack(info)
        assert info.request_id == "order-66"

        sent = collector.spans()
        assert set(sent) == {"gateway", "search_service"}
        ours = {
            name: [s for s in of_service if s.trace_id.hex() == trace_id]
            for name, of_service in sent.items()
        }
        answered = [s for s in ours["gateway"] if s.name.endswith("/GetImage")][-1]
        asking = [s for s in ours["gateway"] if s.name.endswith("/GetDocuments")][-1]
        inside = [s for s in ours["search_service"] if s.name.endswith("/GetDocuments")][-1]
        assert answered.parent_span_id.hex() == caller
        assert asking.parent_span_id == answered.span_id
        assert inside.parent_span_id == asking.span_id

        for name, span in (("gateway", answered), ("search_service", inside)):
            written = processes[name].log.read_text().splitlines()
            # The core of gRPC writes a few lines of its own, past all that formats ours.
            lines = [json.loads(line) for line in written if line.startswith("{")]
            calls = [line for line in lines if line.get("request_id") == "order-66"]
            assert calls, lines
            assert calls[-1]["event"] == "call"
            assert calls[-1]["trace_id"] == trace_id
            assert calls[-1]["span_id"] == span.span_id.hex()

    def test_without_a_collector_nothing_of_opentelemetry_is_loaded(self) -> None:
        code = (
            "import gateway.server, imagesearch_client, sys\n"
            "from service_kit import tracing\n"
            "with tracing.exporting('x'):\n"
            "    assert tracing.around() == () and tracing.of_calls() is None\n"
            "print([name for name in sys.modules if name.startswith('opentelemetry')])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        )

        assert done.stdout.strip() == "[]"

    def test_that_want_traces_and_cannot_have_them_say_so(self) -> None:
        code = (
            "import sys; sys.modules['opentelemetry'] = None\n"
            "from service_kit import tracing\n"
            "try:\n"
            "    with tracing.exporting('x'): pass\n"
            "except tracing.TracingError as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

        assert "imagesearch[tracing]" in done.stdout
