"""TLS between real servers and clients: who gets in, and what the others are told."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

import embedder_service.server
import embedder_service.settings
import gateway.server
import gateway.settings
import imagesearch_web.server
import search_service.server
import search_service.settings
from imagesearch_client import AsyncClient, Client, ClientTls, UnavailableError, upload
from imagesearch_dev import models
from imagesearch_dev.certificates import Authority
from imagesearch_ingest.search_client import search_client
from imagesearch_web.settings import Settings as WebSettings
from service_kit import check_health
from service_kit.client import channel
from service_kit.server import StartError
from service_kit.tls import refusals
from service_kit.tls.files import CertificateError
from tests.helpers import a_picture, eventually, id_of, refusal
from tests.parties import EACH, WHO, Party, mirror, served


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture(scope="module")
def other_authority() -> Authority:
    return Authority.create("another")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Party:
    return Party(tmp_path_factory.mktemp("server"), authority, "gateway")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Party:
    return Party(tmp_path_factory.mktemp("client"), authority, "client")


@pytest.fixture(scope="module")
async def address(server: Party) -> AsyncIterator[str]:
    """A server that asks for certificates of `authority`."""
    async with mirror(**server.server()) as opened:
        yield opened


async def seen(address: str, **how: Any) -> bytes:
    """The certificate that the server sees of us."""
    async with channel(address, **how) as opened:
        who: bytes = await opened.unary_unary(WHO)(b"", timeout=10)
        return who


async def refused(address: str, **how: Any) -> str:
    """What a client is told that gets no connection."""
    told = await refusal(seen(address, **how))
    assert told.code is grpc.StatusCode.UNAVAILABLE
    return told.message


async def assert_no_old_protocol(address: str, client: Party | None = None) -> None:
    assert await served(address, client)
    with pytest.raises((ConnectionError, ssl.SSLError)) as error:
        await served(address, client, old=True)

    assert "NO_PROTOCOLS_AVAILABLE" not in str(error.value), "it was not even offered"


class TestWhoGetsIn:
    async def test_a_client_with_a_certificate_of_the_authority(
        self, address: str, client: Party
    ) -> None:
        assert await seen(address, tls=client.client()) == client.certificate.read_bytes()

    async def test_a_server_without_authority_asks_nobody(self, server: Party) -> None:
        settings = server.server(tls_client_ca_file=None)
        async with mirror(**settings) as address:
            assert await seen(address, tls=ClientTls(server.ca)) == b"nobody"

    async def test_not_a_client_without_certificate(self, address: str, client: Party) -> None:
        details = await refused(address, tls=ClientTls(client.ca))

        assert refusals.reason(details) or refusals.is_cut(details), details

    async def test_not_a_client_of_another_authority(
        self, address: str, other_authority: Authority, client: Party, tmp_path: Path
    ) -> None:
        stranger = Party(tmp_path, other_authority, "client").client()
        tls = ClientTls(client.ca, stranger.certificate_file, stranger.key_file)

        details = await refused(address, tls=tls)

        assert refusals.reason(details) or refusals.is_cut(details), details

    async def test_not_a_client_whose_certificate_has_expired(
        self, address: str, authority: Authority, client: Party
    ) -> None:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        old = authority.issue("client", begins=yesterday, lasts=timedelta(hours=1))
        credentials = grpc.ssl_channel_credentials(client.ca.read_bytes(), old.key, old.certificate)

        details = await refused(address, credentials=credentials)

        assert refusals.reason(details) or refusals.is_cut(details), details

    async def test_not_a_client_in_clear_text(self, address: str) -> None:
        details = await refused(address)

        assert refusals.is_cut(details), details

    async def test_not_a_client_of_an_old_protocol(self, address: str, client: Party) -> None:
        await assert_no_old_protocol(address, client)


class TestWhatAClientTrusts:
    async def test_not_a_server_of_another_authority(
        self, address: str, client: Party, other_authority: Authority, tmp_path: Path
    ) -> None:
        stranger = Party(tmp_path, other_authority, "server")
        tls = ClientTls(stranger.ca, client.certificate, client.key)

        assert refusals.reason(await refused(address, tls=tls)) == refusals.UNTRUSTED

    async def test_not_the_public_authorities_unasked(self, address: str) -> None:
        assert refusals.reason(await refused(address, tls=ClientTls())) == refusals.UNTRUSTED

    async def test_not_a_server_of_another_name(self, address: str, client: Party) -> None:
        details = await refused(address, tls=client.client("search"))

        assert refusals.reason(details) == refusals.OTHER_NAME

    async def test_a_server_by_the_name_in_its_certificate(
        self, authority: Authority, client: Party, tmp_path: Path
    ) -> None:
        server = Party(tmp_path, authority, "elsewhere")
        server.renew(hosts=())
        async with mirror(**server.server()) as address:
            details = await refused(address, tls=client.client())
            assert refusals.reason(details) == refusals.OTHER_NAME

            assert await seen(address, tls=client.client("elsewhere"))

    async def test_not_a_server_whose_certificate_has_expired(
        self, authority: Authority, client: Party, tmp_path: Path
    ) -> None:
        server = Party(tmp_path, authority, "gateway")
        server.renew(lasts=timedelta(seconds=5))
        async with mirror(**server.server()) as address:
            assert await seen(address, tls=client.client())

            async def expired() -> None:
                details = await refused(address, tls=client.client())
                assert refusals.reason(details) == "its certificate has expired"

            await eventually(expired, pause_s=1)

    async def test_not_a_server_in_clear_text(self, client: Party) -> None:
        async with mirror() as address:
            details = await refused(address, tls=client.client())

        assert refusals.reason(details) == "it does not speak TLS"


class TestAllowedClients:
    @pytest.mark.parametrize("patterns", ["client", "gateway,cli*"])
    async def test_names_and_patterns_let_in(
        self, server: Party, client: Party, patterns: str
    ) -> None:
        async with mirror(**server.server(tls_allowed_clients=patterns)) as address:
            assert await seen(address, tls=client.client())

    async def test_others_are_told_so(self, server: Party, client: Party) -> None:
        async with (
            mirror(**server.server(tls_allowed_clients="gateway")) as address,
            channel(address, tls=client.client()) as opened,
        ):
            told = await refusal(opened.unary_unary(WHO)(b"", timeout=10))

            assert told.code is grpc.StatusCode.PERMISSION_DENIED
            assert told.reason == "CLIENT_NOT_ALLOWED"
            assert "client" in told.message

            stream = opened.stream_stream(EACH)(iter([b"1"]), timeout=10)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stream.read()
            assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED

    async def test_whoever_has_a_certificate_may_ask_for_health(
        self, server: Party, client: Party
    ) -> None:
        async with mirror(**server.server(tls_allowed_clients="gateway")) as address:
            ask = asyncio.to_thread(check_health.serving, address, "", client.client())

            assert await ask


class TestProbes:
    async def test_the_command_takes_certificates(self, address: str, client: Party) -> None:
        tls = ["--tls-ca", client.ca, "--tls-certificate", client.certificate]
        arguments = [address, *map(str, [*tls, "--tls-key", client.key])]

        assert await asyncio.to_thread(check_health.main, arguments) == 0
        assert await asyncio.to_thread(check_health.main, [address]) == 1
        assert await asyncio.to_thread(check_health.main, [*arguments[:-1], "/nowhere"]) == 2

    async def test_health_alone_has_a_port_without_tls(self, server: Party, free_port: int) -> None:
        plain = f"127.0.0.1:{free_port}"
        async with mirror(**server.server(health_listen=plain)):
            assert await asyncio.to_thread(check_health.serving, plain)
            assert await asyncio.to_thread(check_health.serving, plain, "liveness")
            async with channel(plain) as opened:
                told = await refusal(opened.unary_unary(WHO)(b"", timeout=10))

            assert told.code is grpc.StatusCode.UNIMPLEMENTED
        assert not await asyncio.to_thread(check_health.serving, plain)


class TestStart:
    async def test_a_server_with_an_expired_certificate_does_not_start(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        server = Party(tmp_path, authority, "gateway")
        server.renew(begins=datetime.now(UTC) - timedelta(days=2), lasts=timedelta(days=1))

        with pytest.raises(StartError, match=r"tls\.crt expired at"):
            async with mirror(**server.server()):
                pass

    async def test_an_authority_alone_does_not_leave_a_server_open(self, server: Party) -> None:
        with pytest.raises(StartError, match="certificate"):
            async with mirror(tls_client_ca_file=server.ca):
                pass

    def test_a_client_with_files_that_are_missing_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(CertificateError, match="cannot be read"):
            Client(tls=ClientTls(tmp_path / "ca.crt"))


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> dict[str, Party]:
    folder = tmp_path_factory.mktemp("parties")
    names = ("gateway", "embedder", "search", "web", "client")
    return {name: Party(folder / name, authority, name) for name in names}


@pytest.fixture(scope="module")
async def chain(
    parties: dict[str, Party], elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, str]]:
    """The whole system; each service takes calls of those alone that have to make them."""

    def encrypted(name: str, *clients: str) -> dict[str, Any]:
        allowed = {"tls_allowed_clients": clients}
        return {**parties[name].server(**allowed), "listen": "127.0.0.1:0", "grace_s": 1}

    embedder = embedder_service.settings.Settings(
        image_model=models.TINY.image,
        text_model=models.TINY.text,
        **encrypted("embedder", "gateway"),
    )
    search = search_service.settings.Settings(
        elasticsearch_url=elasticsearch_url, **encrypted("search", "gateway", "operator")
    )
    async with (
        embedder_service.server.running(embedder) as embedder_port,
        search_service.server.running(search) as search_port,
    ):
        settings = gateway.settings.Settings(
            embedder=f"127.0.0.1:{embedder_port}",
            search=f"127.0.0.1:{search_port}",
            embedder_tls_name="embedder",
            search_tls_name="search",
            services_tls_ca_file=parties["gateway"].ca,
            store_url=tmp_path_factory.mktemp("store").as_uri(),
            **encrypted("gateway", "client", "web"),
        )
        async with gateway.server.running(settings) as gateway_port:
            yield {
                "embedder": settings.embedder,
                "search": settings.search,
                "gateway": f"127.0.0.1:{gateway_port}",
            }


@asynccontextmanager
async def served_page(
    chain: dict[str, str], parties: dict[str, Party], folder: Path
) -> AsyncIterator[str]:
    """The page's server, over HTTPS; gives its address."""
    web = parties["web"]
    settings = WebSettings(
        listen="127.0.0.1:0",
        gateway=chain["gateway"],
        gateway_tls_ca_file=web.ca,
        gateway_tls_certificate_file=web.certificate,
        gateway_tls_key_file=web.key,
        tls_certificate_file=web.certificate,
        tls_key_file=web.key,
        query_folder=folder,
        grace_s=1,
    )
    async with imagesearch_web.server.running(settings) as port:
        yield f"127.0.0.1:{port}"


class TestTheWholeChain:
    async def test_an_image_is_stored_and_found(
        self, chain: dict[str, str], parties: dict[str, Party], new_index: str
    ) -> None:
        data = a_picture(1)
        async with AsyncClient(chain["gateway"], tls=parties["client"].client()) as client:

            async def ready() -> None:
                status = await client.get_status(index=new_index)
                assert all(each.serving for each in status.components), status

            await eventually(ready)
            refresh = types.REFRESH_POLICY_IMMEDIATE
            await client.index_image(upload(data), index=new_index, refresh=refresh)
            found = await client.search_by_image(data, index=new_index, k=1)

        assert found.results[0].image.image_id == id_of(data)

    async def test_the_client_without_asyncio_is_encrypted_too(
        self, chain: dict[str, str], parties: dict[str, Party]
    ) -> None:
        def ask() -> pb.ListIndexesResponse:
            with Client(chain["gateway"], tls=parties["client"].client()) as client:
                return client.list_indexes()

        assert await asyncio.to_thread(ask)

    @pytest.mark.parametrize("service", ["embedder", "search"])
    async def test_a_client_of_the_gateway_is_none_of_the_services(
        self, chain: dict[str, str], parties: dict[str, Party], service: str
    ) -> None:
        name = {"embedder": "EmbedderService/ListModels", "search": "IndexService/ListIndexes"}
        method = f"/imagesearch.{service}.v1.{name[service]}"
        async with channel(chain[service], tls=parties["client"].client()) as opened:
            told = await refusal(opened.unary_unary(method)(b"", timeout=10))

        assert told.reason == "CLIENT_NOT_ALLOWED"

    async def test_operators_reach_search_service(
        self, chain: dict[str, str], authority: Authority, tmp_path: Path
    ) -> None:
        operator = Party(tmp_path, authority, "operator")
        async with search_client(chain["search"], tls=operator.client()) as client:
            assert await client.index("no-such-index") is None

    async def test_a_client_in_clear_text_is_not_answered(self, chain: dict[str, str]) -> None:
        async with AsyncClient(chain["gateway"]) as client:
            with pytest.raises(UnavailableError):
                await client.list_indexes()

    async def test_the_gateway_says_what_is_wrong_with_a_service(
        self, chain: dict[str, str], parties: dict[str, Party], tmp_path: Path
    ) -> None:
        own = parties["gateway"]
        settings = gateway.settings.Settings(
            embedder=chain["embedder"],
            search=chain["search"],
            search_tls_name="elsewhere",
            services_tls_ca_file=own.ca,
            services_tls_certificate_file=own.certificate,
            services_tls_key_file=own.key,
            store_url=tmp_path.as_uri(),
            listen="127.0.0.1:0",
            grace_s=1,
        )
        async with gateway.server.running(settings) as port, AsyncClient(f"127.0.0.1:{port}") as to:

            async def told() -> None:
                parts = {each.name: each for each in (await to.get_status()).components}
                assert parts["embedder_service"].serving
                assert refusals.OTHER_NAME in parts["search_service"].detail

            await eventually(told)


async def command(*arguments: object) -> tuple[int | None, str]:
    """Runs `imagesearch`; gives its exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "imagesearch_cli", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, " ".join(printed.decode().split())


class TestTheCommandLine:
    async def test_its_options_encrypt(
        self, chain: dict[str, str], parties: dict[str, Party]
    ) -> None:
        client = parties["client"]
        own = ["--tls-certificate", client.certificate, "--tls-key", client.key]
        address = ["--gateway", chain["gateway"]]

        status, printed = await command("--tls-ca", client.ca, *own, "status", *address)

        assert (status, "search_service" in printed) == (0, True), printed

    async def test_it_says_what_is_wrong(
        self,
        chain: dict[str, str],
        parties: dict[str, Party],
        other_authority: Authority,
        tmp_path: Path,
    ) -> None:
        client, stranger = parties["client"], Party(tmp_path, other_authority, "client")
        own = ["--tls-certificate", client.certificate, "--tls-key", client.key]
        strangers = ["--tls-certificate", stranger.certificate, "--tls-key", stranger.key]
        wrong: list[tuple[list[object], int, str]] = [
            ([], 3, "if it wants it encrypted, see --tls"),
            (["--tls-ca", client.ca], 3, "if it asks for a certificate, see --tls-certificate"),
            (["--tls-ca", client.ca, *strangers], 3, "it may not take our certificate"),
            (["--tls-ca", stranger.ca, *own], 3, "of no authority that is trusted here"),
            (["--tls-ca", client.ca, *own, "--tls-name", "x"], 3, "is for another name"),
            (["--tls-ca", tmp_path / "nowhere"], 1, "nowhere cannot be read"),
            (["--tls-ca", client.ca, *own[:2]], 1, "needs its private key"),
        ]
        for options, expected, words in wrong:
            status, printed = await command(*options, "status", "--gateway", chain["gateway"])

            assert (status, words in printed) == (expected, True), printed


class TestThePage:
    async def test_it_is_served_over_https_with_the_newest_certificate(
        self, chain: dict[str, str], parties: dict[str, Party], tmp_path: Path
    ) -> None:
        web = parties["web"]
        async with served_page(chain, parties, tmp_path) as address:
            trusting = ssl.create_default_context(cafile=str(web.ca))
            async with httpx.AsyncClient(base_url=f"https://{address}", verify=trusting) as kept:
                assert (await kept.get("/readyz")).status_code == 200
                renewed = web.renew()

                async def is_served() -> None:
                    assert await served(address) == renewed

                await eventually(is_served)
                assert (await kept.get("/readyz")).status_code == 200
                async with httpx.AsyncClient(verify=trusting) as fresh:
                    assert (await fresh.get(f"https://{address}/readyz")).status_code == 200

    async def test_neither_clear_text_nor_old_protocols_are_answered(
        self, chain: dict[str, str], parties: dict[str, Party], tmp_path: Path
    ) -> None:
        async with served_page(chain, parties, tmp_path) as address:
            async with httpx.AsyncClient() as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(f"http://{address}/healthz")
            await assert_no_old_protocol(address)
