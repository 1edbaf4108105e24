"""search_service as a user of Elasticsearch, by name and password."""

import asyncio
import base64

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from search_service.cluster import connect
from search_service.metrics import Metrics
from search_service.settings import Settings

ANSWER = (
    b"HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


async def test_name_and_password_are_sent() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = Settings.model_validate(
            {
                "elasticsearch_url": f"http://127.0.0.1:{port}",
                "elasticsearch_user": "search_service",
                "elasticsearch_password": "s3cr:t",
            }
        )
        async with connect(settings, Metrics(CollectorRegistry())) as client:
            await client.info()

    sent = base64.b64encode(b"search_service:s3cr:t")
    assert b"authorization: basic " + sent.lower() in asked[0].lower()
    assert "s3cr" not in repr(settings)


@pytest.mark.parametrize(
    "given",
    [
        {"elasticsearch_user": "search_service"},
        {"elasticsearch_password": "secret"},
        {
            "elasticsearch_user": "search_service",
            "elasticsearch_password": "secret",
            "elasticsearch_api_key": "key",
        },
    ],
)
def test_half_an_identity_or_two_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="elasticsearch_"):
        Settings.model_validate(given)
