"""Who may call what, of all that the three real servers have: nothing may be forgotten here."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagesearch.common.v1 import access_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as gateway_pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as gateway_grpc
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import index_service_pb2_grpc as index_grpc
from imagesearch.search.v1 import search_service_pb2 as search_pb
from imagesearch.search.v1 import search_service_pb2_grpc as search_grpc

import embedder_service.server
import embedder_service.settings
import gateway.server
import gateway.settings
import search_service.server
import search_service.settings
from imagesearch_client import AsyncClient, OverloadedError, PermissionDeniedError, upload
from imagesearch_dev import models
from service_kit.client import channel
from service_kit.identity import keys
from service_kit.server import Endpoint, StartError, serving
from service_kit.settings import ServerSettings
from tests.helpers import Refusal, a_picture, each, eventually, refusal
from tests.services.secured import (
    HEALTH,
    Secured,
    described,
    outcome,
    registering,
    scopes_of,
    service_of,
)
from tests.unit import test_identity_tokens as issuer

SERVICES = ("embedder_service", "search_service", "gateway")

REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


@pytest.fixture(scope="module")
async def secured(
    elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    made = Secured(folder / "keys.json")
    backend = made.key("search", "ingest")
    async with AsyncExitStack() as stack:

        async def start(name: str, server: Any, settings: Any) -> None:
            methods: set[str] = set()
            with registering(methods):
                port = await stack.enter_async_context(server.running(settings))
            made.addresses[name] = f"127.0.0.1:{port}"
            made.methods[name] = methods

        every: dict[str, Any] = {"listen": "127.0.0.1:0", "grace_s": 1, "keys_file": made.file}
        await start(
            "embedder_service",
            embedder_service.server,
            embedder_service.settings.Settings(
                image_model=models.TINY.image, text_model=models.TINY.text, **every
            ),
        )
        await start(
            "search_service",
            search_service.server,
            search_service.settings.Settings(elasticsearch_url=elasticsearch_url, **every),
        )
        await start(
            "gateway",
            gateway.server,
            gateway.settings.Settings(
                embedder=made.addresses["embedder_service"],
                search=made.addresses["search_service"],
                store_url=(folder / "store").as_uri(),
                backend_api_key=backend,
                **every,
            ),
        )
        yield made


@pytest.fixture(scope="module")
def the_key(secured: Secured) -> str:
    """A key that may do everything."""
    return secured.key()


async def reloaded(secured: Secured, key: str, name: str = "gateway") -> None:
    """Waits until a service knows a new key."""

    async def known() -> None:
        async with channel(secured.addresses[name]) as to:
            found = await outcome(to, METHOD_OF_ALL[name], key)
            assert found is None or found.code is not grpc.StatusCode.UNAUTHENTICATED, found

    await eventually(known)


METHOD_OF_ALL = {
    "embedder_service": "/imagesearch.embedder.v1.EmbedderService/GetModel",
    "search_service": "/imagesearch.search.v1.IndexService/GetIndex",
    "gateway": "/imagesearch.gateway.v1.ImageSearchService/ListIndexes",
}
"""A method that any scope is enough for."""


class TestMatrix:
    """Every method that a server has, as the server itself was told."""

    @pytest.mark.parametrize("name", SERVICES)
    async def test_the_servers_have_what_is_looked_at(self, secured: Secured, name: str) -> None:
        services = {service_of(method) for method in secured.methods[name]}

        assert {HEALTH, "grpc.channelz.v1.Channelz"} < services
        assert "grpc.reflection.v1alpha.ServerReflection" in services
        assert ("google.longrunning.Operations" in services) == (name == "search_service")
        assert any(each.startswith("imagesearch.") for each in services)

    @pytest.mark.parametrize("name", SERVICES)
    async def test_nobody_gets_in_without_a_good_key_but_who_asks_for_health(
        self, secured: Secured, name: str
    ) -> None:
        now = datetime.now(UTC)
        good, revoked = secured.key(), secured.key()
        expired = secured.key(expires_at=now - timedelta(seconds=1))
        secured.revoke(revoked)
        await reloaded(secured, good, name)
        bad = {
            "no": "",
            "a made-up": keys.new()[1],
            "a wrong": good[:-6] + "AAAAAA",
            "a revoked": revoked,
            "an expired": expired,
            "another kind of": "abc",
        }
        wrong, said = [], set()
        async with channel(secured.addresses[name]) as to:
            for method in sorted(secured.methods[name]):
                for what, key in bad.items():
                    found = await outcome(to, method, key)
                    if service_of(method) == HEALTH:
                        if found is not None and found.code in REFUSED:
                            wrong.append(f"{method} with {what} key: {found}")
                    elif found is None or found.code is not grpc.StatusCode.UNAUTHENTICATED:
                        wrong.append(f"{method} with {what} key: {found}")
                    else:
                        said.add((found.reason, found.message))

        assert not wrong
        assert len(said) == 1  # nothing to learn from

    @pytest.mark.parametrize("name", SERVICES)
    async def test_each_scope_opens_what_the_contract_says_and_nothing_else(
        self, secured: Secured, name: str
    ) -> None:
        by_scope = {scope: secured.key(scope) for scope in ("search", "ingest", "admin")}
        await reloaded(secured, by_scope["admin"], name)
        wrong = []
        async with channel(secured.addresses[name]) as to:
            for method in sorted(secured.methods[name]):
                if service_of(method) == HEALTH:
                    continue
                needed = scopes_of(method)
                assert needed, f"{method} says nothing of who may call it"
                for scope, key in by_scope.items():
                    found = await outcome(to, method, key)
                    denied = found is not None and found.code in REFUSED
                    right = (
                        not denied
                        if scope in needed
                        else (denied and found is not None and found.reason == "SCOPE_MISSING")
                    )
                    if not right:
                        wrong.append(f"{method} with the scope {scope}: {found}")

        assert not wrong

    @pytest.mark.parametrize("name", SERVICES)
    async def test_a_key_for_some_indexes_opens_no_other(self, secured: Secured, name: str) -> None:
        key = secured.key(indexes=("mine-*",))
        await reloaded(secured, key, name)
        wrong = []
        async with channel(secured.addresses[name]) as to:
            for method in sorted(secured.methods[name]):
                for what, request, allowed in _requests(method):
                    found = await outcome(to, method, key, request)
                    denied = found is not None and found.code in REFUSED
                    if denied == allowed or (
                        denied and found is not None and found.reason != "INDEX_NOT_ALLOWED"
                    ):
                        wrong.append(f"{method}, {what}: {found}")

        assert not wrong


def _requests(method: str) -> Iterator[tuple[str, bytes, bool]]:
    """Requests about indexes: what they are, and whether a key for "mine-*" is enough."""
    if not service_of(method).startswith("imagesearch."):
        yield "of no index", b"", True
        return
    access = described(method).GetOptions().Extensions[access_pb2.access]
    kind = GetMessageClass(described(method).input_type)
    paths = [path.split(".") for path in access.index_fields]
    if not paths:
        yield "of no index", b"", not access.every_index
        return

    def request(names: list[str]) -> bytes:
        message = kind()
        for path, name in zip(paths, names, strict=True):
            _set(message, path, name)
        return bytes(message.SerializeToString())

    own = ["mine-1"] * len(paths)
    yield "of its own", request(own), True
    for i in range(len(paths)):
        for other in ("other", "", "mine"):
            yield (
                f"{'.'.join(paths[i])} {other!r}",
                request([*own[:i], other, *own[i + 1 :]]),
                False,
            )


def _set(message: Any, path: list[str], name: str) -> None:
    *through, last = path
    for part in through:
        inner = getattr(message, part)
        message = inner.add() if hasattr(inner, "add") else inner
    setattr(message, last, name)


class TestRequests:
    async def test_a_key_comes_in_either_header(self, secured: Secured, the_key: str) -> None:
        await reloaded(secured, the_key)
        method = METHOD_OF_ALL["gateway"]
        async with channel(secured.addresses["gateway"]) as to:
            assert await outcome(to, method, **{"x-api-key": the_key}) is None
            assert await outcome(to, method, authorization=f"bearer  {the_key}") is None
            twice = await outcome(to, method, the_key, **{"x-api-key": secured.key()})
            basic = await outcome(to, method, authorization=f"Basic {the_key}")

        for refused in (twice, basic):
            assert refused is not None
            assert refused.code is grpc.StatusCode.UNAUTHENTICATED

    async def test_the_message_of_who_is_refused_is_not_read(self, secured: Secured) -> None:
        """It is larger than the server takes: were it read, the answer would be another one."""
        request = embedder_pb.EmbedRequest()
        request.inputs.add(image=bytes(40 * 1024 * 1024))
        async with channel(
            secured.addresses["embedder_service"], max_message_bytes=64 * 1024 * 1024
        ) as to:
            stub = embedder_grpc.EmbedderServiceStub(to)
            refused = await refusal(stub.Embed(request, timeout=20))

        assert refused.code is grpc.StatusCode.UNAUTHENTICATED

    async def test_many_images_of_who_is_refused_are_refused_at_once(
        self, secured: Secured
    ) -> None:
        images = [gateway_pb.ImageUpload(content=a_picture(n)) for n in range(20)]
        async with AsyncClient(secured.addresses["gateway"], api_key=keys.new()[1]) as client:
            with pytest.raises(PermissionDeniedError) as refused:
                await anext(client.index_images(images))

        assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED

    async def test_a_method_that_is_not_there_is_nobodys(
        self, secured: Secured, the_key: str
    ) -> None:
        await reloaded(secured, the_key)
        async with channel(secured.addresses["gateway"]) as to:
            without = await outcome(to, "/none.Such/Method")
            with_key = await outcome(to, "/none.Such/Method", the_key)

        assert without is not None
        assert with_key is not None
        assert without.code is grpc.StatusCode.UNAUTHENTICATED
        assert with_key.code is grpc.StatusCode.UNIMPLEMENTED

    async def test_the_log_names_the_key_and_the_reason_and_never_the_secret(
        self, secured: Secured
    ) -> None:
        key = secured.key()
        await reloaded(secured, key)
        wrong = key[:-6] + "AAAAAA"
        key_id = keys.id_of(key)
        with structlog.testing.capture_logs() as lines:
            async with channel(secured.addresses["gateway"]) as to:
                await outcome(to, METHOD_OF_ALL["gateway"], key)

                async def refused() -> None:
                    """Of refusals one a second is logged, and that may be another one."""
                    await outcome(to, METHOD_OF_ALL["gateway"], wrong)
                    why = f"secret of key {key_id} is wrong"
                    assert any(why in line.get("why", "") for line in lines)

                await eventually(refused, pause_s=0.7)

        calls = [line for line in lines if line["event"] == "call"]
        assert {"caller": f"key:{key_id}", "code": "OK"}.items() <= calls[0].items() or any(
            line.get("caller") == f"key:{key_id}" for line in calls
        )
        assert key.split("_", 2)[2] not in str(lines)
        assert "AAAAAA" not in str(lines)


class TestStreams:
    async def test_every_message_of_a_stream_is_looked_at(
        self, secured: Secured, new_index: str
    ) -> None:
        key = secured.key("ingest", indexes=(new_index,))
        await reloaded(secured, key)
        sent = asyncio.Event()

        async def requests() -> AsyncIterator[gateway_pb.IndexImagesRequest]:
            yield gateway_pb.IndexImagesRequest(
                request_id="1",
                index=new_index,
                image=gateway_pb.ImageUpload(content=a_picture(1), image_name="a.png"),
            )
            await sent.wait()
            yield gateway_pb.IndexImagesRequest(request_id="2", index=f"{new_index}-other")

        async with channel(secured.addresses["gateway"], api_key=key) as to:
            call: Any = gateway_grpc.ImageSearchServiceStub(to).IndexImages(requests(), timeout=60)
            first = await call.read()
            sent.set()
            refused = await refusal(call.read())

        assert first.HasField("indexed"), first
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.reason == "INDEX_NOT_ALLOWED"
        assert f"{new_index}-other" in refused.message

    @pytest.mark.parametrize("how", ["revoked", "expires"])
    async def test_a_stream_ends_soon_after_its_key(self, secured: Secured, how: str) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=4)
        key = secured.key("search", expires_at=soon if how == "expires" else None)
        await reloaded(secured, key, "embedder_service")

        async def requests() -> AsyncIterator[embedder_pb.StreamEmbedRequest]:
            yield embedder_pb.StreamEmbedRequest(
                request_id="1", input=embedder_pb.EmbedInput(text="a")
            )
            await asyncio.sleep(60)

        async with channel(secured.addresses["embedder_service"], api_key=key) as to:
            call: Any = embedder_grpc.EmbedderServiceStub(to).StreamEmbed(requests(), timeout=60)
            answer = await call.read()
            began = time.monotonic()
            if how == "revoked":
                secured.revoke(key)
            refused = await refusal(call.read())
            took = time.monotonic() - began

        assert answer.result.HasField("vector")
        assert refused.code is grpc.StatusCode.UNAUTHENTICATED
        assert took < 30


class TestLimits:
    async def test_more_requests_than_a_key_is_for_are_told_when_to_come_again(
        self, secured: Secured
    ) -> None:
        key = secured.key("search", limits={"requests_per_second": 0.01, "burst": 50})
        await reloaded(secured, key, "embedder_service")
        async with channel(secured.addresses["embedder_service"], api_key=key) as to:
            stub = embedder_grpc.EmbedderServiceStub(to)

            async def until_refused() -> Refusal:
                for _ in range(60):
                    try:
                        await stub.GetModel(embedder_pb.GetModelRequest(), timeout=20)
                    except grpc.aio.AioRpcError:
                        break
                return await refusal(stub.GetModel(embedder_pb.GetModelRequest(), timeout=20))

            refused = await until_refused()

        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.reason == "RATE_LIMITED"
        assert refused.retry

    async def test_a_key_is_for_so_many_calls_at_a_time(self, secured: Secured) -> None:
        key = secured.key("search", limits={"concurrent_calls": 1})
        await reloaded(secured, key, "embedder_service")
        go_on = asyncio.Event()

        async def requests() -> AsyncIterator[embedder_pb.StreamEmbedRequest]:
            yield embedder_pb.StreamEmbedRequest(
                request_id="1", input=embedder_pb.EmbedInput(text="a")
            )
            await go_on.wait()

        async with channel(secured.addresses["embedder_service"], api_key=key) as to:
            stub = embedder_grpc.EmbedderServiceStub(to)
            call: Any = stub.StreamEmbed(requests(), timeout=60)
            await call.read()
            refused = await refusal(stub.GetModel(embedder_pb.GetModelRequest(), timeout=20))
            go_on.set()
            assert await call.read() is grpc.aio.EOF

            async def again() -> None:
                await stub.GetModel(embedder_pb.GetModelRequest(), timeout=20)

            await eventually(again)

        assert refused.reason == "TOO_MANY_CALLS"
        assert refused.retry


class TestThroughEverything:
    async def test_a_key_stores_and_finds_until_it_is_revoked(
        self, secured: Secured, new_index: str, tmp_path: Path
    ) -> None:
        (tmp_path / "a.png").write_bytes(a_picture(1))
        key = secured.key("search", "ingest", indexes=(new_index,))
        await reloaded(secured, key)
        async with AsyncClient(secured.addresses["gateway"], api_key=key) as client:
            await client.index_image(
                upload(tmp_path / "a.png"),
                index=new_index,
                refresh=types.REFRESH_POLICY_IMMEDIATE,
            )
            found = await client.search_by_image(tmp_path / "a.png", index=new_index, k=1)
            with pytest.raises(PermissionDeniedError) as other:
                await client.search_by_text("a", index="other")
            secured.revoke(key)

            async def refused() -> None:
                code = None
                try:
                    await client.search_by_text("a", index=new_index)
                except PermissionDeniedError as denied:
                    code = denied.code
                assert code is grpc.StatusCode.UNAUTHENTICATED

            await eventually(refused)

        assert len(found.results) == 1
        assert other.value.reason == "INDEX_NOT_ALLOWED"

    async def test_the_command_line_brings_its_key_everywhere(
        self, secured: Secured, new_index: str, tmp_path: Path
    ) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.png").write_bytes(a_picture(1))
        key = secured.key("search", "ingest", indexes=(new_index, f"{new_index}-copy"))
        (tmp_path / "key").write_text(f"{key}\n")
        await reloaded(secured, key)
        await reloaded(secured, key, "search_service")

        async def imagesearch(*arguments: object, **env: str) -> tuple[int, str]:
            names = {
                "IMAGESEARCH_GATEWAY": secured.addresses["gateway"],
                "IMAGESEARCH_SEARCH": secured.addresses["search_service"],
                "IMAGESEARCH_JOURNAL": str(tmp_path / "journal.sqlite"),
            }
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "imagesearch_cli", *map(str, arguments)),
                env={**os.environ, **names, **env},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate()
            return process.returncode or 0, output.decode()

        named = ("--index", new_index)
        from_file = ("--api-key-file", tmp_path / "key")
        stored = await imagesearch("index", tmp_path / "in", *named, IMAGESEARCH_API_KEY=key)
        found = await imagesearch("--api-key", key, "search", "--text", "a", *named)
        written = await imagesearch(*from_file, "export", tmp_path / "out", *named)
        copied = await imagesearch(
            *("import", tmp_path / "out", "--index", f"{new_index}-copy"),
            IMAGESEARCH_API_KEY_FILE=str(tmp_path / "key"),
        )
        without = await imagesearch("search", "--text", "a", *named)

        for done in (stored, found, written, copied):
            assert done[0] == 0, done[1]
        assert without[0] == 1
        assert "IMAGESEARCH_API_KEY" in without[1]

    async def test_lists_show_a_key_its_own_indexes(
        self, secured: Secured, the_key: str, new_index: str
    ) -> None:
        mine, other = f"{new_index}-mine", f"{new_index}-other"
        key = secured.key("search", "admin", indexes=(mine,))
        await reloaded(secured, key)
        await reloaded(secured, key, "search_service")
        async with (
            channel(secured.addresses["search_service"], api_key=the_key) as all_search,
            channel(secured.addresses["search_service"], api_key=key) as to_search,
            AsyncClient(secured.addresses["gateway"], api_key=key) as client,
        ):
            indexes = index_grpc.IndexServiceStub(all_search)
            for name in (mine, other):
                await indexes.CreateIndex(index_pb.CreateIndexRequest(name=name, space="s"))
            own = await index_grpc.IndexServiceStub(to_search).ListIndexes(
                index_pb.ListIndexesRequest(page_size=1)
            )
            through = await client.list_indexes()
            listed = await indexes.ListIndexes(index_pb.ListIndexesRequest(page_size=1000))
            for name in (mine, other):
                await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=name))

        assert [index.name for index in own.indexes] == [mine]
        assert not own.next_page_token
        assert [index.name for index in through.indexes] == [mine]
        assert {mine, other} <= {index.name for index in listed.indexes}

    async def test_operations_are_seen_by_whom_their_index_is_for(
        self, secured: Secured, the_key: str, new_index: str
    ) -> None:
        owner = secured.key("admin", indexes=(new_index,))
        stranger = secured.key("admin", indexes=("elsewhere",))
        await reloaded(secured, stranger, "search_service")
        address = secured.addresses["search_service"]
        async with (
            channel(address, api_key=the_key) as to_all,
            channel(address, api_key=owner) as to_owner,
            channel(address, api_key=stranger) as to_stranger,
        ):
            indexes = index_grpc.IndexServiceStub(to_all)
            await indexes.CreateIndex(index_pb.CreateIndexRequest(name=new_index, space="s"))
            optimize = index_pb.OptimizeIndexRequest(name=new_index)
            started = await index_grpc.IndexServiceStub(to_owner).OptimizeIndex(optimize)
            get = operations_pb2.GetOperationRequest(name=started.name)
            wait = operations_pb2.WaitOperationRequest(name=started.name)
            done = await operations_pb2_grpc.OperationsStub(to_owner).WaitOperation(wait)
            hidden = await refusal(
                operations_pb2_grpc.OperationsStub(to_stranger).GetOperation(get)
            )
            listed = await operations_pb2_grpc.OperationsStub(to_stranger).ListOperations(
                operations_pb2.ListOperationsRequest()
            )
            await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))

        assert done.done
        assert hidden.code is grpc.StatusCode.NOT_FOUND
        assert started.name not in {operation.name for operation in listed.operations}

    async def test_many_documents_in_a_message_are_each_looked_at(
        self, secured: Secured, new_index: str
    ) -> None:
        key = secured.key("ingest", indexes=(new_index,))
        await reloaded(secured, key, "search_service")
        request = search_pb.UpsertDocumentsRequest(index=new_index)
        request.more.add(index=new_index)
        request.more.add(index="other")
        async with channel(secured.addresses["search_service"], api_key=key) as to:
            call: Any = search_grpc.SearchServiceStub(to).UpsertDocuments(each([request]))
            refused = await refusal(call.read())

        assert refused.reason == "INDEX_NOT_ALLOWED"

    async def test_a_wrong_key_of_the_gateway_is_no_fault_of_its_callers(
        self, secured: Secured, the_key: str, tmp_path: Path
    ) -> None:
        await reloaded(secured, the_key)
        settings = gateway.settings.Settings(
            listen="127.0.0.1:0",
            embedder=secured.addresses["embedder_service"],
            search=secured.addresses["search_service"],
            store_url=tmp_path.as_uri(),
            grace_s=1,
            backend_api_key=secured.key("admin"),
        )
        async with gateway.server.running(settings) as port, channel(f"127.0.0.1:{port}") as to:
            stub = gateway_grpc.ImageSearchServiceStub(to)
            refused = await refusal(
                stub.SearchByText(gateway_pb.SearchByTextRequest(text="a"), timeout=20)
            )

        assert refused.code is grpc.StatusCode.INTERNAL
        assert "key" not in refused.message

    async def test_a_gateway_whose_key_nobody_knows_says_that_it_cannot_work(
        self, secured: Secured, tmp_path: Path
    ) -> None:
        settings = gateway.settings.Settings(
            listen="127.0.0.1:0",
            embedder=secured.addresses["embedder_service"],
            search=secured.addresses["search_service"],
            store_url=tmp_path.as_uri(),
            grace_s=1,
            backend_api_key=keys.new()[1],
        )

        async def its_health_has_the_reason() -> None:
            why = {line["why"] for line in logged if line["event"] == "health"}
            assert "embedder_service asks for a key, and does not know the gateway's" in why

        with structlog.testing.capture_logs() as logged:
            async with gateway.server.running(settings) as port, channel(f"127.0.0.1:{port}") as to:
                health = health_pb2_grpc.HealthStub(to)
                stub = gateway_grpc.ImageSearchServiceStub(to)
                await eventually(its_health_has_the_reason)
                answer = await health.Check(health_pb2.HealthCheckRequest())
                status = await stub.GetStatus(gateway_pb.GetStatusRequest(), timeout=20)

        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not any(part.serving for part in status.components)
        for part in status.components:
            assert part.detail == f"{part.name} asks for a key, and does not know the gateway's"

    async def test_a_gateway_whose_key_is_withdrawn_names_who_refuses_it(
        self, secured: Secured, tmp_path: Path
    ) -> None:
        key = secured.key("search", "ingest")
        for name in ("embedder_service", "search_service"):
            await reloaded(secured, key, name)
        settings = gateway.settings.Settings(
            listen="127.0.0.1:0",
            embedder=secured.addresses["embedder_service"],
            search=secured.addresses["search_service"],
            store_url=tmp_path.as_uri(),
            grace_s=1,
            backend_api_key=key,
        )
        async with gateway.server.running(settings) as port, channel(f"127.0.0.1:{port}") as to:
            stub = gateway_grpc.ImageSearchServiceStub(to)

            async def all_are(serving: bool) -> None:
                status = await stub.GetStatus(gateway_pb.GetStatusRequest(), timeout=20)
                assert {part.serving for part in status.components} == {serving}

            await eventually(lambda: all_are(True))
            secured.revoke(key)
            await eventually(lambda: all_are(False))


@asynccontextmanager
async def plain_server(file: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A server whose only service has a contract that says nothing of access."""

    async def answer(request: bytes, _context: Any) -> bytes:
        return request

    def register(server: grpc.aio.Server) -> None:
        handlers = {"Do": grpc.unary_unary_rpc_method_handler(answer)}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Undeclared", handlers),)
        )

    settings = ServerSettings(listen="127.0.0.1:0", grace_s=1, keys_file=file)
    async with (
        serving(settings, [Endpoint("test.Undeclared", register)]) as port,
        channel(f"127.0.0.1:{port}") as to,
    ):
        yield to


class TestServer:
    async def test_a_method_whose_contract_names_nobody_is_nobodys(self, tmp_path: Path) -> None:
        made = Secured(tmp_path / "keys.json")
        key = made.key()
        async with plain_server(made.file) as to:
            refused = await outcome(to, "/test.Undeclared/Do", key)

        assert refused is not None
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.reason == "METHOD_WITHOUT_ACCESS"

    async def test_a_broken_file_keeps_the_keys_from_before(self, tmp_path: Path) -> None:
        made = Secured(tmp_path / "keys.json")
        key = made.key()
        with structlog.testing.capture_logs() as lines:
            async with plain_server(made.file) as to:
                good = made.file.read_bytes()
                made.file.write_text("{")

                async def noticed() -> None:
                    assert "keys_not_reloaded" in {line["event"] for line in lines}

                await eventually(noticed)
                kept = await outcome(to, "/test.Undeclared/Do", key)
                made.file.write_bytes(good)
                made.revoke(key)

                async def gone() -> None:
                    found = await outcome(to, "/test.Undeclared/Do", key)
                    assert found is not None
                    assert found.code is grpc.StatusCode.UNAUTHENTICATED

                await eventually(gone)

        assert kept is not None
        assert kept.code is grpc.StatusCode.PERMISSION_DENIED

    @pytest.mark.parametrize("content", [None, "{"])
    async def test_without_keys_to_read_it_does_not_start(
        self, tmp_path: Path, content: str | None
    ) -> None:
        file = tmp_path / "keys.json"
        if content is not None:
            file.write_text(content)
        with pytest.raises(StartError, match="key"):
            async with plain_server(file):
                pass

    @pytest.mark.parametrize(
        ("listen", "warns"), [("127.0.0.1:0", False), ("[::1]:0", False), ("0.0.0.0:0", True)]
    )
    async def test_it_says_so_when_it_is_open_to_the_network(
        self, listen: str, warns: bool
    ) -> None:
        settings = ServerSettings(listen=listen, grace_s=1)
        with structlog.testing.capture_logs() as lines:
            async with serving(settings, []):
                pass

        assert ("open_to_everyone" in {line["event"] for line in lines}) is warns

    async def test_it_may_take_tokens_beside_keys(self, tmp_path: Path) -> None:
        made = Secured(tmp_path / "keys.json")
        made.key()
        (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks()))
        settings = ServerSettings(
            listen="127.0.0.1:0",
            grace_s=1,
            keys_file=made.file,
            oidc_issuer=issuer.ISSUER,
            oidc_audience="imagesearch",
            oidc_jwks=str(tmp_path / "jwks.json"),
        )
        channelz = "/grpc.channelz.v1.Channelz/GetServers"
        async with serving(settings, []) as port, channel(f"127.0.0.1:{port}") as to:
            admin = await outcome(to, channelz, issuer.token(scope="imagesearch.admin"))
            search = await outcome(to, channelz, issuer.token())
            wrong = await outcome(to, channelz, issuer.token(issuer.OTHER))

        assert admin is None
        assert search is not None
        assert search.reason == "SCOPE_MISSING"
        assert wrong is not None
        assert wrong.code is grpc.StatusCode.UNAUTHENTICATED


async def test_the_client_is_told_when_a_key_has_too_much_under_way(secured: Secured) -> None:
    key = secured.key("search", limits={"requests_per_second": 0.001, "burst": 40})
    await reloaded(secured, key)
    async with AsyncClient(secured.addresses["gateway"], api_key=key, timeout=5) as client:

        async def ask_on() -> None:
            for _ in range(60):
                await client.list_indexes()

        with pytest.raises(OverloadedError) as refused:
            await ask_on()

    assert refused.value.reason == "RATE_LIMITED"
    assert refused.value.retry_after is not None
