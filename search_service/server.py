"""The wiring: the order of the text is the order of the start; the stop is its reverse."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from imagesearch.search.v1 import (
    index_service_pb2,
    index_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)

from search_service.cluster import Cluster, connect
from search_service.index_servicer import IndexServicer
from search_service.indexes import Indexes
from search_service.search_servicer import SearchServicer
from search_service.settings import Settings
from search_service.upserting import Result, Upsert, upsert_all
from search_service.writing import Writer
from service_kit import deadlines
from service_kit.budget import ByteBudget
from service_kit.server import Endpoint, Probe, serving, stop_signal

_INDEX_SERVICE = index_service_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name
_SEARCH_SERVICE = search_service_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name


async def serve(settings: Settings) -> None:
    """Serves until the process is told to stop."""
    async with running(settings):
        await stop_signal()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Runs the service; gives its port. Elasticsearch may be away: health then says so.

    Raises:
        StartError: The address cannot be bound.
    """
    client = connect(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        cluster = Cluster(client, settings.read_timeout_s, settings.write_timeout_s)

        async def write(index: str, upserts: Sequence[Upsert], refresh: str) -> list[Result]:
            deadlines.begin(None)  # a bulk request serves many calls
            return await upsert_all(cluster, index, upserts, refresh)

        writer = Writer(
            write,
            max_documents=settings.max_bulk_documents,
            max_bytes=settings.max_bulk_bytes,
            max_bulks=settings.max_bulks,
        )
        stack.push_async_callback(writer.stop)
        indexes = Indexes(cluster)
        stopping = asyncio.Event()
        searches = SearchServicer(
            cluster, indexes, writer, ByteBudget(settings.max_pending_bytes), stopping
        )
        lifecycle = IndexServicer(indexes, cluster)
        endpoints = [
            Endpoint(
                _SEARCH_SERVICE,
                lambda to: search_service_pb2_grpc.add_SearchServiceServicer_to_server(
                    searches, to
                ),
            ),
            Endpoint(
                _INDEX_SERVICE,
                lambda to: index_service_pb2_grpc.add_IndexServiceServicer_to_server(lifecycle, to),
            ),
        ]
        async with serving(settings, endpoints, Probe(cluster.check)) as port:
            try:
                yield port
            finally:
                stopping.set()
