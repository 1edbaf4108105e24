"""Elasticsearch as this service sees it: one client, its timeouts, and what it can do."""

import asyncio
import math
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from elastic_transport import AiohttpHttpNode, HttpHeaders
from elastic_transport.client_utils import DEFAULT, DefaultType
from elasticsearch import AsyncElasticsearch
from elasticsearch.serializer import OrjsonSerializer

from search_service.errors import (
    NotReadyError,
    OverloadedError,
)
from search_service.failures import errors_of
from search_service.metrics import RETRIES, Metrics
from search_service.settings import Settings
from service_kit import deadlines
from service_kit.deadlines import remaining
from service_kit.errors import UnavailableError
from service_kit.server import StartError

T = TypeVar("T")

OLDEST = (8, 19)
"""Oldest version of the server that is supported."""

_FIRST_WITHOUT_VECTORS = (9, 2)
"""From this version on a document's source leaves its vectors out unless they are asked for."""

_FIRST_WITH_PACKED_VECTORS = (9, 3)
"""From this version on vectors may be written as base64."""

_FIRST_WITH_PACKED_QUERIES = (9, 4)
"""From this version on so may the vectors of searches."""

_OF_A_MAJOR = re.compile(r"application/vnd\.elasticsearch\+([a-z-]+); ?compatible-with=\d+")

_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.1


class _Node(AiohttpHttpNode):
    """A node of any major version: asked in its own JSON, not in that of the client's major."""

    metrics: Metrics

    async def perform_request(  # type: ignore[override]
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> Any:
        if headers is not None:
            for name in ("accept", "content-type"):
                if name in headers:
                    headers[name] = _OF_A_MAJOR.sub(r"application/\1", headers[name])
        status = "none"
        began = time.perf_counter()
        try:
            answer = await super().perform_request(method, target, body, headers, request_timeout)
            status = str(answer.meta.status)
        finally:
            self.metrics.request(_endpoint(target), status, time.perf_counter() - began)
        return answer


class Cluster:
    """The client and what is known of the server.

    Args:
        client: Closed by whoever made it.
        read_timeout_s: Longest for one read.
        write_timeout_s: Longest for one write.
        active_shards: Copies of a shard that must be there for a write; None: as its index has it.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        read_timeout_s: float,
        write_timeout_s: float,
        active_shards: str | None = None,
    ) -> None:
        self._client = client
        self._read_timeout_s = read_timeout_s
        self._write_timeout_s = write_timeout_s
        self.active_shards = active_shards
        self._timed: dict[float, AsyncElasticsearch] = {}
        self._version = ""
        self._has_scripts: bool | None = None

    def reading(self) -> AsyncElasticsearch:
        """The client, for a read within the call's deadline.

        Raises:
            DeadlineError: That is over.
        """
        deadlines.check("Elasticsearch was asked")
        return self._within(remaining(self._read_timeout_s))

    def writing(self) -> AsyncElasticsearch:
        """The client, for a write within the call's deadline.

        Raises:
            DeadlineError: That is over.
        """
        deadlines.check("Elasticsearch was asked")
        return self._within(remaining(self._write_timeout_s))

    def patient(self, seconds: float) -> AsyncElasticsearch:
        """The client, for a request that may take long, whatever the call's deadline."""
        return self._within(seconds)

    def _within(self, seconds: float) -> AsyncElasticsearch:
        # Making one takes as long as a small request: they are kept, a hundred at most for the
        # usual timeouts. 0 would mean no limit.
        step = 0.05 if seconds < 1 else 0.5 if seconds < 60 else 60
        rounded = max(1, math.ceil(seconds / step)) * step
        client = self._timed.get(rounded)
        if client is None:
            client = self._timed[rounded] = self._client.options(request_timeout=rounded)
        return client

    async def version(self) -> str:
        """The server's version, e.g. "9.2.2"; of several nodes, the oldest. Asked once.

        Raises:
            ServiceError: Elasticsearch does not answer.
        """
        if not self._version:
            with errors_of("*"):
                info = await self.reading().nodes.info(metric="os", filter_path="nodes.*.version")
            self._version = oldest(node["version"] for node in info["nodes"].values())
        return self._version

    async def leaves_vectors_out(self) -> bool:
        """Whether a document's source comes without its vector unless it is asked for.

        Raises:
            ServiceError: Elasticsearch does not answer.
        """
        return _parsed(await self.version()) >= _FIRST_WITHOUT_VECTORS

    async def has_scripts(self) -> bool:
        """Whether every node has Painless.

        Raises:
            ServiceError: Elasticsearch does not answer.
        """
        if self._has_scripts is None:
            with errors_of("*"):
                info = await self.reading().nodes.info(
                    metric="plugins", filter_path="nodes.*.modules.name"
                )
            self._has_scripts = all(
                any(module["name"] == "lang-painless" for module in node.get("modules", ()))
                for node in info.get("nodes", {"": {}}).values()
            )
        return self._has_scripts

    async def packs_vectors(self) -> bool:
        """Whether vectors may be written as base64 of big-endian float32.

        Raises:
            ServiceError: Elasticsearch does not answer.
        """
        return _parsed(await self.version()) >= _FIRST_WITH_PACKED_VECTORS

    async def packs_queries(self) -> bool:
        """Whether searches may be for vectors in base64.

        Raises:
            ServiceError: Elasticsearch does not answer.
        """
        return _parsed(await self.version()) >= _FIRST_WITH_PACKED_QUERIES

    async def check(self) -> None:
        """Returns if the cluster has a master and is of a version that is supported.

        Raises:
            ServiceError: It does not answer, or has no master.
            UnavailableError: It is too old.
        """
        try:
            with errors_of("*"):
                await self.reading().cluster.health(timeout="1s", filter_path="status")
        except UnavailableError:
            self._version, self._has_scripts = "", None  # it may come back as another
            raise
        if _parsed(version := await self.version()) < OLDEST:
            raise UnavailableError(f"Elasticsearch {version} is too old; 8.19 or later is needed")


def connect(settings: Settings, metrics: Metrics) -> AsyncElasticsearch:
    """Makes the client. It connects when it is first used, and again by itself.

    A request that cannot be sent is sent to another node, once a node. A status is
    never retried here: `patiently` does, with pauses. Certificates are always checked.

    Raises:
        StartError: The URL, the authorities' certificates or the fingerprint cannot be used.
    """

    class Node(_Node):
        """A node whose requests are counted."""

    Node.metrics = metrics
    hosts = [url.strip() for url in settings.elasticsearch_url.split(",")]
    more: dict[str, Any] = {}
    if settings.elasticsearch_api_key is not None:
        more["api_key"] = settings.elasticsearch_api_key.get_secret_value()
    if settings.elasticsearch_password is not None:
        password = settings.elasticsearch_password.get_secret_value()
        more["basic_auth"] = (settings.elasticsearch_user, password)
    if settings.elasticsearch_ca_certs is not None:
        more["ca_certs"] = str(settings.elasticsearch_ca_certs)
    if settings.elasticsearch_fingerprint:
        more["ssl_assert_fingerprint"] = settings.elasticsearch_fingerprint
    try:
        return AsyncElasticsearch(
            hosts,
            max_retries=max(1, len(hosts) - 1),
            retry_on_timeout=False,
            retry_on_status=(),
            connections_per_node=16,
            node_class=Node,
            serializers={"application/json": OrjsonSerializer()},
            **more,
        )
    except (ValueError, OSError) as error:  # among the latter those of TLS
        raise StartError(f"Elasticsearch cannot be called as the settings say: {error}") from error


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries again, after a growing random pause, while Elasticsearch is overloaded or not ready.

    Raises:
        OverloadedError: It still is after the last attempt, or no time is left.
        NotReadyError: Likewise.
    """
    for number in range(_ATTEMPTS - 1):
        try:
            return await attempt()
        except (OverloadedError, NotReadyError):
            if not await pause(number):
                raise
    return await attempt()


async def pause(number: int) -> bool:
    """Waits before attempt `number` + 1, longer each time; False if there is no time for it."""
    seconds = _FIRST_PAUSE_S * 2**number * random.uniform(0.5, 1.5)
    if remaining(2 * seconds) < seconds:
        return False
    RETRIES.inc()
    await asyncio.sleep(seconds)
    return True


def _endpoint(target: str) -> str:
    """Which of few kinds a request is of, e.g. "_bulk"; names of indexes and ids are left out."""
    parts = target.partition("?")[0].split("/")
    return next((part for part in parts if part.startswith("_")), "index")


def oldest(versions: Iterable[str]) -> str:
    """The oldest of versions such as "9.2.2"."""
    return min(versions, key=_parsed)


def _parsed(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split("."))
