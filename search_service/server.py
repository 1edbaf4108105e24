"""The wiring: the order of the text is the order of the start; the stop is its reverse."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from google.longrunning import operations_pb2_grpc
from imagesearch.search.v1 import (
    index_service_pb2,
    index_service_pb2_grpc,
    revision_service_pb2,
    revision_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)

from search_service import bulk_loading, maintenance, rebuilding
from search_service.backgrounds import Backgrounds
from search_service.bulk_loading import BulkLoads
from search_service.cluster import Cluster, connect
from search_service.deleting import Deleter
from search_service.errors import IndexNotFoundError
from search_service.gathering import SearchQueue
from search_service.index_servicer import IndexServicer
from search_service.indexes import Indexes
from search_service.maintenance import Maintenance
from search_service.mappings import name_of
from search_service.metrics import Metrics
from search_service.mirroring import Mirror
from search_service.operation_servicer import OperationServicer, Rendering, Response
from search_service.operation_store import OperationStore, Record
from search_service.operations import Operations
from search_service.rebuilding import Rebuild
from search_service.revision_servicer import RevisionServicer
from search_service.revisions import Revisions
from search_service.search_servicer import SearchServicer
from search_service.settings import Settings
from search_service.upserter import Upserter
from search_service.upserting import Result, Upsert, upsert_and_mirror
from search_service.writing import Writer
from service_kit import deadlines
from service_kit.budget import ByteBudget
from service_kit.metrics import new_registry, serving_metrics, watch_workers
from service_kit.probing import Probe
from service_kit.server import Endpoint, serving, stop_signal
from service_kit.workers import Workers

_REVISION_SERVICE = revision_service_pb2.DESCRIPTOR.services_by_name["RevisionService"].full_name
_OPERATIONS = "google.longrunning.Operations"
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
    registry = new_registry("search_service")
    metrics = Metrics(registry)
    client = connect(settings, metrics)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        cluster = Cluster(
            client,
            settings.read_timeout_s,
            settings.write_timeout_s,
            settings.wait_for_active_shards or None,
        )
        stack.enter_context(serving_metrics(settings.metrics_listen, registry))
        indexes = Indexes(cluster)
        mirror = Mirror(cluster, indexes)

        async def write(alias: str, upserts: Sequence[Upsert], refresh: str) -> list[Result]:
            deadlines.begin(None)  # a bulk request serves many calls
            began = time.perf_counter()
            results = await upsert_and_mirror(cluster, mirror, alias, upserts, refresh)
            metrics.bulk(name_of(alias), len(upserts), time.perf_counter() - began)
            return results

        writer = Writer(
            write,
            max_documents=settings.max_bulk_documents,
            max_bytes=settings.max_bulk_bytes,
            max_bulks=settings.max_bulks,
        )
        stack.push_async_callback(writer.stop)
        queue = SearchQueue(
            cluster,
            max_requests=settings.max_search_requests,
            max_searches=settings.max_searches_a_request,
        )
        stack.push_async_callback(queue.stop)
        arithmetic = await stack.enter_async_context(Workers("background", 1))
        watch_workers(registry, arithmetic)
        backgrounds = Backgrounds(cluster, arithmetic)
        stack.push_async_callback(backgrounds.stop)
        revisions = Revisions(cluster, indexes)
        loads = BulkLoads(cluster, indexes)
        work = Maintenance(cluster, indexes)
        operations = Operations(
            OperationStore(cluster),
            {
                rebuilding.KIND: Rebuild(cluster, indexes, revisions),
                bulk_loading.KIND: loads,
                maintenance.OPTIMIZE: work.optimize,
                maintenance.SNAPSHOT: work.snapshot,
                maintenance.RESTORE: work.restore,
            },
            settings.operation_lease_s,
        )
        loads.operations = operations
        await stack.enter_async_context(operations)
        stopping = asyncio.Event()
        responses: dict[str, Response] = {}
        rendering = Rendering(responses)
        lifecycle = IndexServicer(
            cluster, indexes, revisions, operations, rendering, metrics, settings.max_bulk_bytes
        )
        of_revisions = RevisionServicer(indexes, revisions, operations, rendering)
        responses |= responses_of(indexes, lifecycle, of_revisions)
        room = ByteBudget(settings.max_pending_bytes)
        metrics.pending(lambda: room.held)
        searches = SearchServicer(
            cluster,
            indexes,
            Upserter(indexes, writer, metrics),
            Deleter(cluster, indexes, mirror),
            loads,
            queue,
            backgrounds,
            metrics,
            settings.slow_search_s,
            room,
            stopping,
            settings.max_idle_s,
        )
        of_operations = OperationServicer(operations, rendering)
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
            Endpoint(
                _REVISION_SERVICE,
                lambda to: revision_service_pb2_grpc.add_RevisionServiceServicer_to_server(
                    of_revisions, to
                ),
            ),
            Endpoint(
                _OPERATIONS,
                lambda to: operations_pb2_grpc.add_OperationsServicer_to_server(  # type: ignore[no-untyped-call]
                    of_operations, to
                ),
            ),
        ]

        async def check() -> None:
            try:
                await cluster.check()
            except BaseException:  # also of the time for it being over
                metrics.up(False)
                raise
            metrics.up(True)

        async with serving(settings, endpoints, Probe(check), registry) as port:
            try:
                yield port
            finally:
                stopping.set()


def responses_of(
    indexes: Indexes, lifecycle: IndexServicer, of_revisions: RevisionServicer
) -> dict[str, Response]:
    """How the responses of the operations that clients see are rendered."""

    async def index(record: Record) -> index_service_pb2.Index:
        try:
            return (await lifecycle.render([await indexes.get_now(record.index)]))[0]
        except IndexNotFoundError:  # deleted since
            return index_service_pb2.Index(name=record.index)

    async def rebuilt(record: Record) -> revision_service_pb2.RebuildIndexResponse:
        return await of_revisions.rebuilt(record)

    async def optimized(record: Record) -> index_service_pb2.OptimizeIndexResponse:
        return index_service_pb2.OptimizeIndexResponse(index=await index(record))

    async def made(record: Record) -> index_service_pb2.SnapshotIndexResponse:
        return index_service_pb2.SnapshotIndexResponse(**record.response)

    async def restored(record: Record) -> index_service_pb2.RestoreIndexResponse:
        return index_service_pb2.RestoreIndexResponse(index=await index(record))

    return {
        rebuilding.KIND: rebuilt,
        maintenance.OPTIMIZE: optimized,
        maintenance.SNAPSHOT: made,
        maintenance.RESTORE: restored,
    }
