"""One Elasticsearch and one of each service for the whole run; every test has its own index."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from elasticsearch import Elasticsearch
from google.longrunning import operations_pb2_grpc
from imagesearch.embedder.v1 import embedder_service_pb2_grpc
from imagesearch.gateway.v1 import image_search_service_pb2_grpc
from imagesearch.search.v1 import (
    index_service_pb2_grpc,
    revision_service_pb2_grpc,
    search_service_pb2_grpc,
)

import embedder_service.server
import embedder_service.settings
import gateway.server
import gateway.settings
import search_service.server
import search_service.settings
from imagesearch_dev import models
from imagesearch_dev.elasticsearch.assemble import VERSION
from imagesearch_dev.elasticsearch.node import ElasticsearchNode, jdk_for
from service_kit.client import channel

ROOT = Path(__file__).resolve().parent.parent

HOMES = ROOT / ".imagesearch" / "elasticsearch"
"""Assembled servers, kept between runs."""

if not (os.environ.get("CHAOS") or os.environ.get("SOAK")):
    # Most nodes live for seconds: half of the work of a start would be to compile for long runs.
    os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

MEASURED = {"EMBEDDER_BACKEND": "auto", "EMBEDDER_DTYPE": "auto", "EMBEDDER_MAX_BATCH": "0"}
"""What an embedder has that is told nothing: it measures at its start, for seconds."""

# Most embedders of tests are told. Not the one that all tests of its answers ask.
os.environ |= {"EMBEDDER_BACKEND": "torch", "EMBEDDER_DTYPE": "float32", "EMBEDDER_MAX_BATCH": "8"}

INDEX_PREFIX = f"test-{os.getpid()}-"

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What commands remember between runs stays apart from what the user's remember."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def elasticsearch_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The one of ELASTICSEARCH_URL, or a node of our own (of ELASTICSEARCH_VERSION)."""
    if url := os.environ.get("ELASTICSEARCH_URL"):
        yield url
        with Elasticsearch(url) as client:
            made = client.indices.get(index=f"{INDEX_PREFIX}*", features="aliases")
            for name in made:
                client.indices.delete(index=name)
        return
    version = os.environ.get("ELASTICSEARCH_VERSION", VERSION)
    folder = tmp_path_factory.mktemp("elasticsearch")
    with ElasticsearchNode(folder, HOMES, version=version, java_home=jdk_for(version)) as node:
        yield node.url


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticsearchNode]:
    """A node that tests kill, stop and freeze. Each leaves it as it was: running."""
    with ElasticsearchNode(tmp_path_factory.mktemp("node") / "elasticsearch", HOMES) as node:
        yield node


@pytest.fixture(scope="session")
async def search_address(elasticsearch_url: str) -> AsyncIterator[str]:
    settings = search_service.settings.Settings(
        listen="127.0.0.1:0", elasticsearch_url=elasticsearch_url, grace_s=1
    )
    async with search_service.server.running(settings) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
async def search_channel(search_address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with channel(search_address) as opened:
        yield opened


@pytest.fixture(scope="session")
def indexes(search_channel: grpc.aio.Channel) -> index_service_pb2_grpc.IndexServiceAsyncStub:
    return index_service_pb2_grpc.IndexServiceStub(search_channel)


@pytest.fixture(scope="session")
def search(search_channel: grpc.aio.Channel) -> search_service_pb2_grpc.SearchServiceAsyncStub:
    return search_service_pb2_grpc.SearchServiceStub(search_channel)


@pytest.fixture(scope="session")
def revisions(
    search_channel: grpc.aio.Channel,
) -> revision_service_pb2_grpc.RevisionServiceAsyncStub:
    return revision_service_pb2_grpc.RevisionServiceStub(search_channel)


@pytest.fixture(scope="session")
def operations(search_channel: grpc.aio.Channel) -> operations_pb2_grpc.OperationsStub:
    return operations_pb2_grpc.OperationsStub(search_channel)


@pytest.fixture(scope="session")
async def embedder_address() -> AsyncIterator[str]:
    settings = embedder_service.settings.Settings(
        listen="127.0.0.1:0",
        image_model=models.TINY.image,
        text_model=models.TINY.text,
        backend="auto",
        dtype="auto",
        max_batch=0,
        cache_bytes=0,  # or the second time something is asked would prove nothing
        grace_s=1,
    )
    async with embedder_service.server.running(settings) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
async def embedder(
    embedder_address: str,
) -> AsyncIterator[embedder_service_pb2_grpc.EmbedderServiceAsyncStub]:
    async with channel(embedder_address) as opened:
        yield embedder_service_pb2_grpc.EmbedderServiceStub(opened)


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway's image store."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
async def gateway_address(
    embedder_address: str, search_address: str, store_folder: Path
) -> AsyncIterator[str]:
    settings = gateway.settings.Settings(
        listen="127.0.0.1:0",
        embedder=embedder_address,
        search=search_address,
        store_url=store_folder.as_uri(),
        decode_timeout_s=4,
        grace_s=1,
    )
    async with gateway.server.running(settings) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
async def images(
    gateway_address: str,
) -> AsyncIterator[image_search_service_pb2_grpc.ImageSearchServiceAsyncStub]:
    """The gateway's stub."""
    async with channel(gateway_address) as opened:
        yield image_search_service_pb2_grpc.ImageSearchServiceStub(opened)


@pytest.fixture(scope="session")
def index_of_drawings() -> str:
    """A name for an index that tests share and none changes."""
    return f"{INDEX_PREFIX}drawings"


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
    return port


@pytest.fixture
def new_index() -> str:
    """A name that no other test uses."""
    return f"{INDEX_PREFIX}{next(_numbers)}"
