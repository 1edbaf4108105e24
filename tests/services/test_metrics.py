"""What the services tell Prometheus, after real calls; and that dashboard and alerts know it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import grpc
import httpx
import promql_parser
import pytest
import torch
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from embedder_service import device_metrics
from embedder_service.device_metrics import DeviceCollector
from imagesearch_client import AsyncClient, ImageSearchError, NotFoundError, upload
from imagesearch_dev.certificates import Authority, write
from service_kit.tls.files import CertificateFiles
from service_kit.tls.metrics import watch_certificates
from service_kit.tls.watching import WatchedCertificates
from tests.conftest import INDEX_PREFIX, ROOT
from tests.helpers import a_picture, eventually
from tests.scraping import Scrape, scrape
from tests.services.observed import Observed, running

DEPLOY = ROOT / "deploy"
GATEWAY = "imagesearch.gateway.v1.ImageSearchService"

FROM_PROMETHEUS = {"up"}
"""What Prometheus knows of targets by itself."""

ADDED_BY_PROMETHEUS = {"job", "instance"}


@pytest.fixture(scope="module")
async def observed(
    elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Observed]:
    folder = tmp_path_factory.mktemp("observed")
    async with running(elasticsearch_url, folder, allow_url_fetch=True) as services:
        yield services


@pytest.fixture
async def client(observed: Observed) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(observed.gateway) as opened:
        yield opened


async def changed(
    observed: Observed, service: str, before: Scrape, name: str, **labels: str
) -> float:
    """How much a series has grown since."""
    now = await scrape(observed.metrics[service])
    return now.value(name, **labels) - before.value(name, **labels)


async def grown(
    observed: Observed, service: str, before: Scrape, by: float, name: str, **labels: str
) -> None:
    """Waits until a series has grown by so much: some is counted right after the answer."""

    async def check() -> None:
        assert await changed(observed, service, before, name, **labels) == by

    await eventually(check, timeout_s=10)


class TestCalls:
    async def test_are_counted_by_method_and_code(
        self, observed: Observed, client: AsyncClient, new_index: str
    ) -> None:
        before = await scrape(observed.metrics["gateway"])
        for _ in range(2):
            await client.get_status()
        with pytest.raises(NotFoundError):
            await client.get_image("0" * 64, index=new_index)
        with pytest.raises(ImageSearchError):
            await client.search_by_text("x", index="No Name")

        for method, code, count in (
            ("GetStatus", "OK", 2),
            ("GetImage", "NotFound", 1),
            ("SearchByText", "InvalidArgument", 1),
        ):
            labels = {"grpc_service": GATEWAY, "grpc_method": method, "grpc_type": "unary"}
            handled = {**labels, "grpc_code": code}
            await grown(observed, "gateway", before, count, "grpc_server_handled_total", **handled)
            await grown(
                observed, "gateway", before, count, "grpc_server_handling_seconds_count", **labels
            )

    async def test_are_known_before_the_first(self, observed: Observed) -> None:
        """Or `rate` would not see the first error."""
        seen = await scrape(observed.metrics["search"])
        labels = [
            sample.labels
            for family in seen.families
            for sample in family.samples
            if sample.name == "grpc_server_handled_total"
        ]

        assert {
            "grpc_service": "imagesearch.search.v1.IndexService",
            "grpc_method": "DeleteIndex",
            "grpc_type": "unary",
            "grpc_code": "Internal",
        } in labels

    async def test_to_other_services_are_counted_too(
        self, observed: Observed, client: AsyncClient, new_index: str
    ) -> None:
        before = await scrape(observed.metrics["gateway"])
        with pytest.raises(NotFoundError):
            await client.get_image("0" * 64, index=new_index)

        labels = {"grpc_method": "GetDocuments", "grpc_code": "NotFound"}
        await grown(observed, "gateway", before, 1, "grpc_client_handled_total", **labels)

    async def test_are_counted_by_the_reason_they_are_refused_for(
        self, observed: Observed, client: AsyncClient, new_index: str
    ) -> None:
        before = {name: await scrape(observed.metrics[name]) for name in ("gateway", "search")}
        with pytest.raises(NotFoundError) as missing:
            await client.get_image("0" * 64, index=new_index)

        assert missing.value.reason == "INDEX_NOT_FOUND"
        for name, seen in before.items():
            reason = "INDEX_NOT_FOUND"
            await grown(observed, name, seen, 1, "imagesearch_errors_total", reason=reason)

    async def test_of_health_are_not_counted(self, observed: Observed) -> None:
        seen = await scrape(observed.metrics["gateway"])

        assert seen.value("grpc_server_started_total", grpc_service="grpc.health.v1.Health") == 0
        assert seen.value("grpc_client_started_total", grpc_service="grpc.health.v1.Health") == 0


class TestStreams:
    async def test_are_one_call_of_many_messages(
        self, observed: Observed, client: AsyncClient, new_index: str
    ) -> None:
        before = await scrape(observed.metrics["gateway"])
        uploads = [upload(a_picture(n), relative_path=f"{n}.png") for n in range(3)]
        outcomes = [each async for each in client.index_images(uploads, index=new_index)]

        assert all(outcome.error is None for outcome in outcomes)
        labels = {"grpc_method": "IndexImages", "grpc_type": "bidi_stream"}
        for name, count in (
            ("grpc_server_msg_received_total", 3),
            ("grpc_server_msg_sent_total", 3),
            ("grpc_server_started_total", 1),
        ):
            await grown(observed, "gateway", before, count, name, **labels)
        created = {"outcome": "created"}
        await grown(observed, "gateway", before, 3, "imagesearch_gateway_images_total", **created)
        wrote = {"operation": "write", "outcome": "ok"}
        name = "imagesearch_gateway_store_seconds_count"
        await grown(observed, "gateway", before, 6, name, **wrote)  # originals and thumbnails
        written = "imagesearch_gateway_store_bytes_total"
        size = await changed(observed, "gateway", before, written, operation="write")
        assert size > sum(len(each.content) for each in uploads)
        in_flight = await scrape(observed.metrics["gateway"])
        assert in_flight.value("imagesearch_gateway_pending_bytes") == 0

    async def test_that_are_left_are_cancelled(self, observed: Observed) -> None:
        before = await scrape(observed.metrics["embedder"])
        stream = "/imagesearch.embedder.v1.EmbedderService/StreamEmbed"
        labels = {"grpc_method": "StreamEmbed", "grpc_type": "bidi_stream"}

        async def under_way(count: int) -> None:
            seen = await scrape(observed.metrics["embedder"])
            assert seen.value("grpc_server_in_flight", **labels) == count

        async with grpc.aio.insecure_channel(observed.embedder) as channel:
            call = channel.stream_stream(stream)()
            await eventually(lambda: under_way(1), timeout_s=10)
            call.cancel()
            await eventually(lambda: under_way(0), timeout_s=10)

        handled = {**labels, "grpc_code": "Cancelled"}
        await grown(observed, "embedder", before, 1, "grpc_server_handled_total", **handled)


class TestParts:
    async def test_a_fetch_that_is_refused_is_counted_by_its_reason(
        self, observed: Observed, client: AsyncClient, new_index: str
    ) -> None:
        before = await scrape(observed.metrics["gateway"])
        with pytest.raises(ImageSearchError) as refused:
            await client.search_by_image(url="http://127.0.0.1/a.png", index=new_index)

        name = "imagesearch_gateway_fetch_seconds_count"
        await grown(observed, "gateway", before, 1, name, outcome=refused.value.reason)

    async def test_requests_to_elasticsearch_are_timed_by_kind_and_status(
        self, observed: Observed, client: AsyncClient, new_index: str
    ) -> None:
        before = await scrape(observed.metrics["search"])
        await client.index_image(upload(a_picture(5)), index=new_index)
        await client.search_by_image(a_picture(5), index=new_index)

        name = "imagesearch_search_elasticsearch_request_seconds_count"
        for endpoint in ("_bulk", "_search"):
            labels = {"endpoint": endpoint, "status": "200"}
            assert await changed(observed, "search", before, name, **labels) >= 1
        now = await scrape(observed.metrics["search"])
        assert now.value("imagesearch_search_elasticsearch_up") == 1
        assert new_index not in {
            sample.labels.get("endpoint") for family in now.families for sample in family.samples
        }

    @pytest.mark.parametrize("service", ["embedder", "search", "gateway", "web"])
    async def test_every_process_tells_of_itself(self, observed: Observed, service: str) -> None:
        seen = await scrape(observed.metrics[service])

        assert seen.value("process_resident_memory_bytes") > 1e6
        assert seen.value("process_open_fds") > 0
        assert seen.value("python_gc_collections_total") > 0
        assert seen.value("imagesearch_build_info") == 1
        assert not any(name.endswith("_created") for name in seen.names())

    @pytest.mark.parametrize("service", ["embedder", "search", "gateway"])
    async def test_health_is_a_metric(self, observed: Observed, service: str) -> None:
        async def check() -> None:
            assert (await scrape(observed.metrics[service])).value("imagesearch_serving") == 1

        await eventually(check)


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard and of the rules, with where it is."""
    dashboard = json.loads((DEPLOY / "grafana/dashboards/imagesearch.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$job", ".*")
            yield f"panel {panel['title']}", query
    for rule in rules():
        yield f"rule {rule.get('alert') or rule['record']}", rule["expr"]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


@pytest.fixture(scope="module")
async def exported(observed: Observed) -> list[Scrape]:
    """What all services tell once something of everything has happened."""
    async with AsyncClient(observed.gateway) as client, httpx.AsyncClient() as browser:
        index = f"{INDEX_PREFIX}dashboard"
        await client.index_image(upload(a_picture(1)), index=index)
        await client.search_by_text("three green rings", index=index)
        await browser.get(f"{observed.web}/healthz")
    return [await scrape(port) for port in observed.metrics.values()]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Scrape:
    """What is told only where there is a GPU, or TLS."""
    registry = CollectorRegistry()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "mem_get_info", lambda device: (1, 4))
        patch.setattr(torch.cuda, "utilization", lambda device: 40)
        patch.setattr(device_metrics, "find_spec", lambda name: object())
        registry.register(DeviceCollector([torch.device("cuda:0"), torch.device("cpu")]))
        authority = Authority.create()
        folder = tmp_path_factory.mktemp("certificates")
        write(folder, authority.issue("server"), authority.pair.certificate)
        files = CertificateFiles(folder / "tls.crt", folder / "tls.key")
        watch_certificates(registry, WatchedCertificates(files))
        return Scrape(generate_latest(registry).decode())


class TestDashboardAndAlerts:
    @pytest.mark.parametrize(("where", "query"), list(queries()))
    def test_ask_only_for_what_is_exported(
        self, exported: list[Scrape], elsewhere: Scrape, where: str, query: str
    ) -> None:
        known: set[str] = set(FROM_PROMETHEUS)
        known |= {rule["record"] for rule in rules() if "record" in rule}
        scrapes = [*exported, elsewhere]
        for seen in scrapes:
            known |= seen.names()

        asked = selectors(query)
        assert asked
        for selector in asked:
            assert selector.name in known, where
            labels = set().union(*(seen.labels(selector.name) for seen in scrapes))
            if labels:
                matched = {matcher.name for matcher in selector.matchers.matchers}
                assert matched <= labels | ADDED_BY_PROMETHEUS, where
        by = {
            label.strip()
            for listed in re.findall(r"\bby \(([^)]*)\)", query)
            for label in listed.split(",")
        }
        has = {label for s in asked for seen in scrapes for label in seen.labels(s.name)}
        if has:
            assert by <= has | ADDED_BY_PROMETHEUS, where

    def test_the_gpus_memory_is_told_of_gpus_alone(self, elsewhere: Scrape) -> None:
        name = "imagesearch_embedder_device_memory_used_bytes"

        assert elsewhere.value(name) == elsewhere.value(name, device="cuda:0") == 3

    def test_the_end_of_a_certificate_is_told(self, elsewhere: Scrape) -> None:
        name = "imagesearch_certificate_expiry_timestamp_seconds"

        assert elsewhere.value(name) > datetime.now(UTC).timestamp()

    def test_the_dashboard_is_what_its_panels_make(self) -> None:
        spec = spec_from_file_location("make_dashboard", DEPLOY / "grafana/make_dashboard.py")
        assert spec is not None
        assert spec.loader is not None
        script = module_from_spec(spec)
        sys.modules[spec.name] = script
        spec.loader.exec_module(script)
        written = json.loads((DEPLOY / "grafana/dashboards/imagesearch.json").read_text())

        assert written == script.dashboard()
        assert len({panel["id"] for panel in written["panels"]}) == len(written["panels"])

    @pytest.mark.parametrize("rule", [r for r in rules() if "alert" in r], ids=lambda r: r["alert"])
    def test_every_alert_says_what_to_do(self, rule: dict[str, Any]) -> None:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert "for" not in rule or promql_parser.parse_duration(rule["for"])
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", h).lower().replace(" ", "-") for h in headings}
        assert anchor in anchors

    def test_prometheus_asks_the_ports_that_compose_opens(self) -> None:
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        ports = {
            job["job_name"]: job["dns_sd_configs"][0]["port"]
            for job in config["scrape_configs"]
            if "dns_sd_configs" in job
        }

        assert config["rule_files"] == ["alerts.yml"]
        assert ports == {
            "gateway": 9150,
            "embedder_service": 9151,
            "search_service": 9152,
            "imagesearch_web": 9180,
        }
