"""The doctor on real services: what is well is said to be, and each fault made is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from elasticsearch import Elasticsearch
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc
from imagesearch.search.v1 import index_service_pb2 as index_pb
from prometheus_client import CollectorRegistry, Counter

import gateway.server
import gateway.settings
import search_service.server
import search_service.settings
from imagesearch_doctor.examining import examine
from imagesearch_doctor.findings import Checked, Finding, Level
from imagesearch_doctor.targets import Access, Options
from service_kit.metrics import serving_metrics
from service_kit.tls.client import ClientTls
from tests.helpers import SPACE, a_picture, each

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub


def findings(checked: Sequence[Checked], level: Level | None = None) -> list[Finding]:
    return [f for each in checked for f in each.findings if level in (None, f.level)]


def problems(checked: Sequence[Checked]) -> str:
    """All problems, a line each."""
    return "\n".join(f"{f.subject}: {f.what}" for f in findings(checked, Level.PROBLEM))


def of(checked: Sequence[Checked], name: str) -> Sequence[Finding]:
    """What one check found."""
    return next(each.findings for each in checked if each.name == name)


@asynccontextmanager
async def another_gateway(
    embedder: str, search: str, store: Path, **settings: Any
) -> AsyncIterator[str]:
    """A gateway with settings of its own, on the services that all tests share."""
    made = gateway.settings.Settings(
        listen="127.0.0.1:0",
        embedder=embedder,
        search=search,
        **{"store_url": store.as_uri(), "grace_s": 1, **settings},
    )
    async with gateway.server.running(made) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
async def examined_index(images: ImageSearchServiceAsyncStub, index_of_drawings: str) -> str:
    """An index of five drawings that no test changes."""
    index = f"{index_of_drawings}-doctor"
    requests = [
        pb.IndexImagesRequest(
            request_id=str(n), index=index, image=pb.ImageUpload(content=a_picture(n))
        )
        for n in range(5)
    ]
    answers = [answer async for answer in images.IndexImages(each(requests), timeout=60)]
    assert {answer.indexed.outcome for answer in answers} == {types.UPSERT_OUTCOME_CREATED}
    return index


async def test_a_system_that_is_well_has_no_problems(
    gateway_address: str,
    embedder_address: str,
    search_address: str,
    elasticsearch_url: str,
    examined_index: str,
    indexes: IndexServiceAsyncStub,
) -> None:
    registry = CollectorRegistry()
    Counter("calls", "Calls.", registry=registry)
    with serving_metrics("127.0.0.1:0", registry) as port:
        checked = await examine(
            Options(
                gateway_address,
                embedder=embedder_address,
                search=search_address,
                elasticsearch=elasticsearch_url.partition(",")[0],
                metrics=[f"127.0.0.1:{port}"],
                index=examined_index,
                write=True,
            )
        )

    assert problems(checked) == ""
    silent = {each.name for each in checked if not each.findings}
    assert silent <= {"answers", "backends"}  # say only what fails
    (probe,) = of(checked, "probe")
    assert all(word in probe.what for word in ("stored", "by image", "by text", "deleted"))
    listed = await indexes.ListIndexes(index_pb.ListIndexesRequest(page_size=1000))
    assert not [each.name for each in listed.indexes if each.name.startswith("doctor-")]


async def test_without_addresses_all_is_seen_through_the_gateway_and_nothing_written(
    gateway_address: str, examined_index: str, store_folder: Path
) -> None:
    checked = await examine(Options(gateway_address, index=examined_index))

    assert problems(checked) == ""
    assert of(checked, "probe") == []
    assert "GiB" in str(of(checked, "elasticsearch")) or "heap" in str(of(checked, "elasticsearch"))
    assert {f.subject for f in of(checked, "distances")} == {
        "gateway",
        "embedder_service",
        "search_service",
    }
    assert not (store_folder / "-doctor" / "probes").exists() or not list(
        (store_folder / "-doctor" / "probes").iterdir()
    )


async def test_a_probe_through_the_gateway_alone_leaves_no_picture(
    gateway_address: str, images: ImageSearchServiceAsyncStub, indexes: IndexServiceAsyncStub
) -> None:
    checked = await examine(Options(gateway_address, write=True))

    (probe,) = of(checked, "probe")
    assert probe.level is Level.OK
    index = probe.what.rpartition(" ")[2]
    status = await images.GetStatus(pb.GetStatusRequest(index=index))
    assert status.index.document_count == 0
    await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=index))


async def test_an_address_where_nobody_is(free_port: int) -> None:
    checked = await examine(Options(f"127.0.0.1:{free_port}", timeout_s=2))

    assert f"gateway: nobody listens on 127.0.0.1:{free_port}" in problems(checked)
    assert "Elasticsearch" not in problems(checked)


async def test_the_embedders_address_instead_of_the_gateways(embedder_address: str) -> None:
    checked = await examine(Options(embedder_address))

    assert f"{embedder_address} is embedder_service, and no gateway" in problems(checked)


async def test_tls_to_a_gateway_without(gateway_address: str) -> None:
    checked = await examine(Options(gateway_address, access=Access(tls=ClientTls()), timeout_s=3))

    assert "speaks plain text, and the doctor TLS" in problems(checked)


async def test_an_index_of_another_model(
    gateway_address: str, indexes: IndexServiceAsyncStub, new_index: str
) -> None:
    request = index_pb.CreateIndexRequest(name=new_index, space=SPACE)
    await indexes.CreateIndex(request)

    checked = await examine(Options(gateway_address, index=new_index))

    (space,) = of(checked, "space")
    assert space.level is Level.PROBLEM
    assert f"it holds vectors of {SPACE}" in space.what


async def test_an_index_that_is_read_only(
    gateway_address: str,
    indexes: IndexServiceAsyncStub,
    images: ImageSearchServiceAsyncStub,
    elasticsearch_url: str,
    new_index: str,
) -> None:
    upload = pb.ImageUpload(content=a_picture(1))
    await images.IndexImage(pb.IndexImageRequest(index=new_index, image=upload))
    with Elasticsearch(elasticsearch_url.partition(",")[0]) as client:
        block = {"index.blocks.read_only_allow_delete": True}
        client.indices.put_settings(index=new_index, settings=block)
        try:
            checked = await examine(Options(gateway_address, index=new_index))
        finally:
            block["index.blocks.read_only_allow_delete"] = False
            client.indices.put_settings(index=new_index, settings=block)

    assert f"index {new_index}: is blocked: " in problems(checked)
    advice = [f.advice for f in of(checked, "elasticsearch") if "is blocked" in f.what]
    assert "make room on the disks" in advice[0]


async def test_limits_that_disagree(
    embedder_address: str, search_address: str, tmp_path: Path
) -> None:
    larger = {"max_image_bytes": 30 * 1024 * 1024, "max_message_bytes": 16 * 1024 * 1024}
    async with another_gateway(embedder_address, search_address, tmp_path, **larger) as address:
        checked = await examine(Options(address))

    found = problems(checked)
    assert "it allows images of 30.0 MiB, and messages of only 16.0 MiB" in found
    assert "takes such of 20.0 MiB" in found


async def test_a_store_that_cannot_be_used(
    embedder_address: str, search_address: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    async with another_gateway(embedder_address, search_address, tmp_path / "file") as address:
        checked = await examine(Options(address, write=True))

    found = problems(checked)
    assert "image store: file://" in found
    assert "does not work" in found


async def test_another_store_than_the_index_was_filled_with(
    embedder_address: str, search_address: str, examined_index: str, tmp_path: Path
) -> None:
    async with another_gateway(embedder_address, search_address, tmp_path) as address:
        checked = await examine(Options(address, index=examined_index))

    assert "image store: of 3 images looked at, it lacks 3" in problems(checked)


async def test_the_guard_of_url_fetch_is_tried(
    embedder_address: str, search_address: str, examined_index: str, tmp_path: Path
) -> None:
    fetching = {"allow_url_fetch": True}
    async with another_gateway(embedder_address, search_address, tmp_path, **fetching) as address:
        guarded = await examine(Options(address, index=examined_index))
    fetching["fetch_allowed_networks"] = ("127.0.0.0/8", "10.0.0.0/8")
    async with another_gateway(embedder_address, search_address, tmp_path, **fetching) as address:
        opened = await examine(Options(address, index=examined_index))

    assert [f.what for f in of(guarded, "URL fetch")] == [
        "on; addresses that are not public are refused"
    ]
    levels = [f.level for f in of(opened, "URL fetch")]
    assert levels == [Level.PROBLEM, Level.WARNING]


async def test_an_embedder_that_is_away(
    search_address: str, tmp_path: Path, free_port: int
) -> None:
    async with another_gateway(f"127.0.0.1:{free_port}", search_address, tmp_path) as address:
        checked = await examine(Options(address, timeout_s=5))

    found = problems(checked)
    assert "embedder_service: the gateway says: embedder_service does not answer" in found
    assert "gateway: it says of ImageSearchService: NOT_SERVING" in found
    assert "Elasticsearch" not in found


async def test_an_elasticsearch_that_is_away(
    embedder_address: str, tmp_path: Path, free_port: int
) -> None:
    settings = search_service.settings.Settings(
        listen="127.0.0.1:0", elasticsearch_url=f"http://127.0.0.1:{free_port}", grace_s=1
    )
    async with search_service.server.running(settings) as port:
        search = f"127.0.0.1:{port}"
        async with another_gateway(embedder_address, search, tmp_path) as address:
            elasticsearch = f"http://127.0.0.1:{free_port}"
            options = Options(address, search=search, elasticsearch=elasticsearch, timeout_s=5)
            checked = await examine(options)

    found = problems(checked)
    assert "Elasticsearch: search_service says: Elasticsearch does not answer" in found
    assert f"Elasticsearch: 127.0.0.1:{free_port} cannot be asked" in found
    assert "search_service: the gateway says: search_service is not serving" in found


async def test_an_elasticsearch_url_of_something_else(
    gateway_address: str, elasticsearch_url: str
) -> None:
    registry = CollectorRegistry()
    with serving_metrics("127.0.0.1:0", registry) as port:
        wrong = f"http://127.0.0.1:{port}"
        metrics = [f"{elasticsearch_url.partition(',')[0]}/"]
        checked = await examine(Options(gateway_address, elasticsearch=wrong, metrics=metrics))

    found = problems(checked)
    assert "Elasticsearch" in found
    assert "gives no metrics" in found


class Guarded(pb_grpc.ImageSearchServiceServicer):  # type: ignore[misc]
    """Takes one key, which may not do what operators may."""

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        """Answers who comes with the key."""
        if ("authorization", "Bearer right") not in tuple(context.invocation_metadata()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the key is not known")
        return pb.GetStatusResponse()

    async def GetDiagnostics(self, request: Any, context: Any) -> Any:
        """Refuses everybody."""
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "the scope `admin` is needed")


@pytest.mark.parametrize(
    ("key", "what", "advice"),
    [
        ("", "GetStatus is refused: the key is not known", "IMAGESEARCH_API_KEY"),
        ("wrong", "GetStatus is refused: the key is not known", "mistyped"),
        ("right", "GetDiagnostics is refused: the scope `admin`", "use a key that may do this"),
    ],
)
async def test_a_key_that_is_missing_wrong_or_too_weak(key: str, what: str, advice: str) -> None:
    server = grpc.aio.server()
    pb_grpc.add_ImageSearchServiceServicer_to_server(Guarded(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        options = Options(f"127.0.0.1:{port}", access=Access(api_key=key), timeout_s=3)
        checked = await examine(options)
    finally:
        await server.stop(0)

    (finding,) = of(checked, "access")
    assert finding.level is Level.PROBLEM
    assert what in finding.what
    assert advice in finding.advice


async def test_two_clusters_are_not_taken_for_one(gateway_address: str) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.json_response({"cluster_name": "other", "cluster_uuid": "x"})

    app = web.Application()
    app.router.add_get("/_cluster/state/version", other)
    async with TestServer(app) as server:
        checked = await examine(Options(gateway_address, elasticsearch=str(server.make_url("/"))))

    assert "is the cluster other, and search_service uses another one" in problems(checked)
