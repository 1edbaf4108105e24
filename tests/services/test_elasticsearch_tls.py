"""search_service and an Elasticsearch behind TLS."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from imagesearch_dev.certificates import Authority
from search_service.cluster import Cluster, connect
from search_service.metrics import Metrics
from search_service.settings import Settings
from service_kit.errors import UnavailableError
from service_kit.server import StartError
from tests.parties import Party


@pytest.fixture
def elasticsearch(tmp_path: Path) -> Party:
    return Party(tmp_path / "elasticsearch", Authority.create(), "elasticsearch")


@asynccontextmanager
async def encrypted(url: str, party: Party) -> AsyncIterator[str]:
    """Puts TLS in front of a server; gives the URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(party.certificate, party.key)
    to = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_there, to_there = await asyncio.open_connection(to.hostname, to.port)
        pumps = [_pump(reader, to_there), _pump(from_there, writer)]
        await asyncio.gather(*pumps, return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def check(url: str, **settings: Any) -> None:
    """Asks the cluster how it is, as search_service does."""
    client = connect(Settings(elasticsearch_url=url, **settings), Metrics(CollectorRegistry()))
    try:
        await Cluster(client, 10, 10).check()
    finally:
        await client.close()


async def test_it_is_trusted_by_its_authority(elasticsearch_url: str, elasticsearch: Party) -> None:
    async with encrypted(elasticsearch_url, elasticsearch) as url:
        await check(url, elasticsearch_ca_certs=elasticsearch.ca)


async def test_it_is_not_trusted_unasked(elasticsearch_url: str, elasticsearch: Party) -> None:
    async with encrypted(elasticsearch_url, elasticsearch) as url:
        with pytest.raises(UnavailableError):
            await check(url)


async def test_its_name_is_checked(elasticsearch_url: str, elasticsearch: Party) -> None:
    elasticsearch.renew(hosts=())
    async with encrypted(elasticsearch_url, elasticsearch) as url:
        with pytest.raises(UnavailableError):
            await check(url, elasticsearch_ca_certs=elasticsearch.ca)


async def test_one_certificate_can_be_trusted(elasticsearch_url: str, elasticsearch: Party) -> None:
    der = ssl.PEM_cert_to_DER_cert(elasticsearch.certificate.read_text())
    fingerprint = hashlib.sha256(der).hexdigest()
    async with encrypted(elasticsearch_url, elasticsearch) as url:
        await check(url, elasticsearch_fingerprint=fingerprint)
        with pytest.raises(UnavailableError):
            await check(url, elasticsearch_fingerprint=hashlib.sha256(b"another").hexdigest())


async def test_settings_that_cannot_be_used_refuse_the_start(tmp_path: Path) -> None:
    broken = tmp_path / "ca.crt"
    broken.write_text("nothing")
    for file in (broken, tmp_path / "nowhere.crt"):
        with pytest.raises(StartError, match="Elasticsearch cannot be called"):
            await check("https://localhost:1", elasticsearch_ca_certs=file)
    with pytest.raises(ValidationError, match="elasticsearch_fingerprint"):
        Settings(elasticsearch_fingerprint="no-hex")
