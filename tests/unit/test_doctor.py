"""What the doctor says of facts: each fault is named, and what is well is not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from imagesearch.common.v1 import cluster_pb2 as cluster_pb
from imagesearch.common.v1 import server_service_pb2 as server_pb
from imagesearch.gateway.v1 import diagnostics_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2 as gateway_pb
from imagesearch.search.v1 import index_service_pb2

from imagesearch_doctor import checks, examining
from imagesearch_doctor.checks import elasticsearch, indexes, limits, models, storing
from imagesearch_doctor.findings import Checked, Finding, Level, count, ok, problem, warning
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import Access, Options, Target
from search_service import cluster_facts
from service_kit.about import contract_of

GIB = 1024**3
MIB = 1024**2


def said(findings: Sequence[Finding], level: Level) -> str:
    return "\n".join(f"{f.subject}: {f.what}" for f in findings if f.level is level)


def a_node(name: str = "one", **facts: object) -> cluster_pb.ClusterNode:
    """A node that is well."""
    node = cluster_pb.ClusterNode(
        name=name,
        version="9.2.2",
        holds_data=True,
        heap_used_percent=40,
        heap_max_bytes=4 * GIB,
        memory_bytes=16 * GIB,
        disk_total_bytes=100 * GIB,
        disk_free_bytes=60 * GIB,
        exceeded=cluster_pb.DISK_WATERMARK_NONE,
    )
    for field, value in facts.items():
        setattr(node, field, value)
    return node


def a_cluster(*nodes: cluster_pb.ClusterNode, **facts: object) -> cluster_pb.Cluster:
    """A cluster that is well."""
    cluster = cluster_pb.Cluster(
        version="9.2.2",
        health="green",
        nodes=nodes or [a_node()],
        max_request_bytes=100 * MIB,
        bulk_bytes=5_000_000,
    )
    for field, value in facts.items():
        setattr(cluster, field, value)
    return cluster


def test_a_cluster_that_is_well_is_one_line() -> None:
    findings = list(elasticsearch.judged(a_cluster()))

    assert [finding.level for finding in findings] == [Level.OK]
    assert "9.2.2, green" in findings[0].what


@pytest.mark.parametrize(
    ("cluster", "level", "what"),
    [
        (a_cluster(health="red", unassigned_shards=3), Level.PROBLEM, "red"),
        (a_cluster(health="yellow"), Level.WARNING, "one node alone cannot hold"),
        (a_cluster(a_node("a"), a_node("b"), health="yellow"), Level.WARNING, "copies are missing"),
        (a_cluster(version="8.18.0"), Level.PROBLEM, "too old"),
        (a_cluster(version="9.5.1"), Level.WARNING, "known fault"),
        (a_cluster(a_node("a"), a_node("b", version="9.2.1")), Level.WARNING, "different versions"),
        (a_cluster(a_node(heap_used_percent=95)), Level.WARNING, "95 % full"),
        (a_cluster(a_node(breaker_trips=7)), Level.WARNING, "refused 7 requests"),
        (a_cluster(a_node(memory_bytes=5 * GIB)), Level.WARNING, "heap takes 4.0 of 5.0 GiB"),
        (a_cluster(max_request_bytes=1_000_000), Level.PROBLEM, "takes requests of 1000000"),
        (a_cluster(a_node(heap_max_bytes=32 * MIB)), Level.PROBLEM, "a tenth of a heap"),
        (
            a_cluster(a_node(exceeded=cluster_pb.DISK_WATERMARK_LOW)),
            Level.WARNING,
            "watermark low",
        ),
        (
            a_cluster(a_node(exceeded=cluster_pb.DISK_WATERMARK_FLOOD_STAGE)),
            Level.PROBLEM,
            "watermark flood stage",
        ),
    ],
)
def test_what_is_wrong_with_a_cluster_is_named(
    cluster: cluster_pb.Cluster, level: Level, what: str
) -> None:
    findings = list(elasticsearch.judged(cluster))

    assert what in said(findings, level)
    assert all(finding.advice for finding in findings if finding.level is not Level.OK)


def test_a_block_is_told_with_its_index_and_what_to_do() -> None:
    cluster = a_cluster()
    cluster.blocks.add(index="photos", reason="index read-only / allow delete (api)")

    (finding,) = elasticsearch.judged(cluster)

    assert finding.subject == "index photos"
    assert finding.level is Level.PROBLEM
    assert "make room" in finding.advice


DISK = "cluster.routing.allocation.disk."


@pytest.mark.parametrize(
    ("total", "free", "settings", "expected"),
    [
        (100, 50, {}, "NONE"),
        (100, 14, {"low": "85%"}, "LOW"),
        (100, 9, {"low": "85%", "high": "0.9"}, "HIGH"),
        (100, 4, {"low": "85%", "high": "90%", "flood_stage": "95%"}, "FLOOD_STAGE"),
        (10_000, 300, {"low": "85%", "low.max_headroom": "200gb"}, "NONE"),
        (10_000, 150, {"low": "85%", "low.max_headroom": "200gb"}, "LOW"),
        (10_000, 1_000, {"low": "85%", "low.max_headroom": "-1"}, "LOW"),
        (100, 4, {"flood_stage": "5gb"}, "FLOOD_STAGE"),
        (0, 0, {}, "UNSPECIFIED"),
    ],
)
def test_watermarks_are_read_as_elasticsearch_writes_them(
    total: int, free: int, settings: dict[str, str], expected: str
) -> None:
    flat = {f"{DISK}watermark.{name}": value for name, value in settings.items()}

    found = cluster_facts.exceeded(total * GIB, free * GIB, flat)

    assert cluster_pb.DiskWatermark.Name(found) == f"DISK_WATERMARK_{expected}"


def test_watermarks_that_are_off_are_not_exceeded() -> None:
    settings = {f"{DISK}threshold_enabled": "false", f"{DISK}watermark.flood_stage": "95%"}

    found = cluster_facts.exceeded(100 * GIB, 1, settings)

    assert found == cluster_pb.DISK_WATERMARK_NONE


def an_index(**facts: object) -> gateway_pb.IndexStatus:
    """An index that is well."""
    index = gateway_pb.IndexStatus(
        name="photos",
        document_count=50_000,
        health="green",
        dimensions=512,
        vector_type="int8_hnsw",
        shards=1,
        segments=12,
        search_memory_bytes=40 * MIB,
    )
    for field, value in facts.items():
        setattr(index, field, value)
    return index


def test_an_index_that_is_well_is_one_line() -> None:
    (finding,) = indexes.judged(an_index(), a_cluster())

    assert finding.level is Level.OK
    assert "50000 images, int8_hnsw" in finding.what


@pytest.mark.parametrize(
    ("index", "cluster", "level", "what"),
    [
        (an_index(health="red"), a_cluster(), Level.PROBLEM, "red"),
        (an_index(health="yellow"), a_cluster(), Level.WARNING, "yellow"),
        (
            an_index(vector_type="flat", document_count=300_000),
            a_cluster(),
            Level.WARNING,
            "compares all 300000 vectors",
        ),
        (
            an_index(vector_type="hnsw", document_count=2_000_000),
            a_cluster(),
            Level.WARNING,
            "unquantised",
        ),
        (an_index(segments=31), a_cluster(), Level.WARNING, "31 segments"),
        (
            an_index(replicas=0),
            a_cluster(a_node("a"), a_node("b")),
            Level.WARNING,
            "no copies, although there are 2 nodes",
        ),
        (
            an_index(search_memory_bytes=20 * GIB),
            a_cluster(),
            Level.WARNING,
            "searches want 20.0 GiB",
        ),
    ],
)
def test_what_is_wrong_with_an_index_is_named(
    index: gateway_pb.IndexStatus, cluster: cluster_pb.Cluster, level: Level, what: str
) -> None:
    assert what in said(list(indexes.judged(index, cluster)), level)


def test_many_segments_of_a_small_index_are_no_matter() -> None:
    (finding,) = indexes.judged(an_index(document_count=100, segments=99), a_cluster())

    assert finding.level is Level.OK


def told(
    gateway_message: int = 32 * MIB, backend_message: int = 32 * MIB, **facts: int
) -> pb.GetDiagnosticsResponse:
    """What a gateway tells whose limits agree with the others'."""
    response = pb.GetDiagnosticsResponse(
        gateway=server_pb.Server(max_message_bytes=gateway_message),
        backends=[
            pb.BackendDiagnostics(
                name="search_service", server=server_pb.Server(max_message_bytes=backend_message)
            )
        ],
        models=[
            pb.ModelDiagnostics(
                name="clip",
                space="clip@1",
                takes_images=True,
                takes_texts=True,
                cosine_to_float32=1,
                max_image_bytes=20 * MIB,
                max_image_pixels=64_000_000,
            )
        ],
        max_image_bytes=20 * MIB,
        max_image_pixels=64_000_000,
    )
    for field, value in facts.items():
        setattr(response, field, value)
    return response


@pytest.mark.parametrize(
    ("response", "level", "what"),
    [
        (told(), Level.OK, "20.0 MiB pass through"),
        (told(backend_message=4 * MIB), Level.PROBLEM, "search_service: it takes messages of 4.0"),
        (told(backend_message=64 * MIB), Level.WARNING, "search_service: it takes messages of 64"),
        (told(gateway_message=8 * MIB, backend_message=8 * MIB), Level.PROBLEM, "only 8.0 MiB"),
        (told(max_image_bytes=25 * MIB), Level.PROBLEM, "clip takes such of 20.0 MiB"),
        (told(max_image_pixels=99_000_000), Level.PROBLEM, "allows 99000000 pixels"),
    ],
)
def test_limits_that_disagree_are_named(
    response: pb.GetDiagnosticsResponse, level: Level, what: str
) -> None:
    assert what in said(limits.judged(response), level)


def a_model(name: str, **facts: object) -> pb.ModelDiagnostics:
    model = pb.ModelDiagnostics(name=name, space="clip@1", cosine_to_float32=1)
    for field, value in facts.items():
        setattr(model, field, value)
    return model


@pytest.mark.parametrize(
    ("loaded", "level", "what"),
    [
        ([a_model("clip", takes_images=True, takes_texts=True)], Level.OK, "clip on"),
        ([a_model("clip", takes_images=True)], Level.PROBLEM, "no model takes texts"),
        ([a_model("text", takes_texts=True)], Level.PROBLEM, "takes no images"),
        (
            [
                a_model("clip", takes_images=True),
                a_model("other", takes_texts=True, space="other@2"),
            ],
            Level.PROBLEM,
            "no model takes texts in the space clip@1",
        ),
        (
            [a_model("clip", takes_images=True, takes_texts=True, cosine_to_float32=0.98)],
            Level.WARNING,
            "0.9800",
        ),
    ],
)
def test_models_that_do_not_fit_are_named(
    loaded: list[pb.ModelDiagnostics], level: Level, what: str
) -> None:
    assert what in said(models.judged(loaded), level)


def test_a_store_in_memory_or_nearly_full_is_warned_of() -> None:
    kept = pb.StoreDiagnostics(url="memory://images", free_bytes=10 * MIB)

    warnings = said(storing.judged(kept), Level.WARNING)

    assert "lost when it stops" in warnings
    assert "0.01 GiB are left" in warnings


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("host:50050", ("host", 50050)),
        ("dns:///host:50050", ("host", 50050)),
        ("dns://8.8.8.8/host:1", ("host", 1)),
        ("[::1]:50050", ("::1", 50050)),
        ("unix:/run/gateway.sock", None),
    ],
)
def test_addresses_are_read_as_grpc_does(address: str, expected: tuple[str, int] | None) -> None:
    assert Target("gateway", address).host_and_port == expected


@pytest.mark.parametrize("address", ["host", "host:", "host:port", "host:70000"])
def test_an_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="names no port"):
        _ = Target("gateway", address).host_and_port


def test_only_this_machine_is_local() -> None:
    local = [
        Target("gateway", address).is_local
        for address in ("127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/x", "10.0.0.1:1", "host:1")
    ]

    assert local == [True, True, True, True, False, False]


def test_keys_are_not_shown_where_options_are() -> None:
    assert "hunter2" not in repr(Options("host:1", access=Access(api_key="hunter2")))


def test_contracts_have_one_digest_in_any_order_and_another_for_others() -> None:
    names = [
        service.full_name for service in index_service_pb2.DESCRIPTOR.services_by_name.values()
    ]
    gateways = ["imagesearch.gateway.v1.ImageSearchService"]

    assert contract_of([*names, *gateways]) == contract_of([*gateways, *names])
    assert contract_of(names) != contract_of(gateways)
    assert contract_of([*names, "google.longrunning.Operations"]) == contract_of(names)


def test_every_check_has_a_name_of_its_own() -> None:
    assert len(set(checks.ALL.values())) == len(checks.ALL)


async def test_a_check_that_fails_or_hangs_costs_no_other(free_port: int) -> None:
    async def broken(_: System) -> list[Finding]:
        raise RuntimeError("a bug")

    async def endless(_: System) -> list[Finding]:
        await asyncio.sleep(3600)
        return []

    async def fine(_: System) -> list[Finding]:
        return [ok("x", "well")]

    options = Options(f"127.0.0.1:{free_port}", timeout_s=0.1)
    every = {"broken": broken, "endless": endless, "fine": fine}

    checked = await examining.examine(options, every)

    assert [each.name for each in checked] == list(every)
    assert "a bug" in checked[0].findings[0].what
    assert "not done within" in checked[1].findings[0].what
    assert checked[2].findings == [ok("x", "well")]
    assert count(checked, Level.PROBLEM) == 2


def test_findings_are_counted_by_level() -> None:
    checked = [Checked("a", [ok("x", "y"), problem("x", "y", "z")]), Checked("b", [])]
    checked.append(Checked("c", [warning("x", "y", "z"), problem("x", "y", "z")]))

    counts = {level.value: count(checked, level) for level in Level}

    assert counts == {"ok": 1, "warning": 1, "problem": 2}
