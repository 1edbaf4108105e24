"""IndexService: each RPC parses, acts, renders."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from google.longrunning import operations_pb2
from imagesearch.search.v1 import index_service_pb2 as pb
from imagesearch.search.v1 import index_service_pb2_grpc as pb_grpc

from image_kit.naming import index_name
from search_service import cluster_facts, index_wire, maintenance, sampling
from search_service.cluster import Cluster
from search_service.indexes import Indexes, Statistics
from search_service.mappings import Index, bytes_per_vector
from search_service.metrics import Metrics
from search_service.operation_servicer import Rendering
from search_service.operations import Operations
from search_service.records import timestamp
from search_service.revisions import Revisions
from service_kit.errors import Violations
from service_kit.identity.callers import may_see

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

_HEALTH = {
    "green": pb.INDEX_HEALTH_GREEN,
    "yellow": pb.INDEX_HEALTH_YELLOW,
    "red": pb.INDEX_HEALTH_RED,
}


class IndexServicer(pb_grpc.IndexServiceServicer):
    """The RPCs of IndexService.

    Args:
        cluster: Where the indexes are.
        indexes: Does the short work.
        revisions: Finds revisions.
        operations: Do the long work.
        rendering: Renders operations.
        metrics: Gets recalls.
        bulk_bytes: About the largest request that is sent to the cluster.
    """

    def __init__(
        self,
        cluster: Cluster,
        indexes: Indexes,
        revisions: Revisions,
        operations: Operations,
        rendering: Rendering,
        metrics: Metrics,
        bulk_bytes: int,
    ) -> None:
        self._cluster = cluster
        self._indexes = indexes
        self._revisions = revisions
        self._operations = operations
        self._rendering = rendering
        self._metrics = metrics
        self._bulk_bytes = bulk_bytes

    async def CreateIndex(
        self, request: pb.CreateIndexRequest, context: "Context"
    ) -> pb.CreateIndexResponse:
        name, space, options = index_wire.new_index(request)
        index = await self._indexes.create(name, space, options)
        return pb.CreateIndexResponse(index=(await self.render([index]))[0])

    async def GetIndex(
        self, request: pb.GetIndexRequest, context: "Context"
    ) -> pb.GetIndexResponse:
        index = await self._indexes.get(index_name(request.name, "name"))
        return pb.GetIndexResponse(index=(await self.render([index]))[0])

    async def ListIndexes(
        self, request: pb.ListIndexesRequest, context: "Context"
    ) -> pb.ListIndexesResponse:
        size, after = index_wire.page(request)
        left = [
            each
            for each in await self._indexes.all()
            if each.live.name > after and may_see(each.live.name)
        ]
        page = left[:size]
        token = index_wire.page_token(page[-1].live.name) if len(left) > size else ""
        return pb.ListIndexesResponse(indexes=await self.render(page), next_page_token=token)

    async def RefreshIndex(
        self, request: pb.RefreshIndexRequest, context: "Context"
    ) -> pb.RefreshIndexResponse:
        index = await self._indexes.get_now(index_name(request.name, "name"))
        await self._indexes.refresh(index.live)
        return pb.RefreshIndexResponse()

    async def UpdateIndex(
        self, request: pb.UpdateIndexRequest, context: "Context"
    ) -> pb.UpdateIndexResponse:
        name, replicas, refresh_ms = index_wire.update(request)
        await self._indexes.update(name, replicas, refresh_ms)
        index = await self._indexes.get_now(name)
        return pb.UpdateIndexResponse(index=(await self.render([index]))[0])

    async def DeleteIndex(
        self, request: pb.DeleteIndexRequest, context: "Context"
    ) -> pb.DeleteIndexResponse:
        wrong = Violations()
        if not request.name:
            wrong.add("name", "is not set; nothing is deleted by default")
        wrong.raise_if_any()
        await self._indexes.delete(index_name(request.name, "name"))
        return pb.DeleteIndexResponse()

    async def OptimizeIndex(
        self, request: pb.OptimizeIndexRequest, context: "Context"
    ) -> operations_pb2.Operation:
        name = index_name(request.name, "name")
        wrong = Violations()
        if not 0 <= request.max_segments <= 100:
            wrong.add("max_segments", f"is {request.max_segments}; 1 to 100 are allowed")
        wrong.raise_if_any()
        await self._indexes.get_now(name)
        given = {"max_segments": request.max_segments or 1}
        return await self._start(maintenance.OPTIMIZE, name, given)

    async def MeasureRecall(
        self, request: pb.MeasureRecallRequest, context: "Context"
    ) -> pb.MeasureRecallResponse:
        samples, k, candidates = index_wire.recall(request)
        _, revision = await self._revisions.get(index_name(request.name, "name"), request.revision)
        recalls, count = await sampling.measure_recall(
            self._cluster, revision, samples, k, candidates
        )
        response = pb.MeasureRecallResponse(samples=count)
        for each in recalls:
            recall = response.recalls.add(
                num_candidates=each.num_candidates, recall=each.mean, least=each.least
            )
            self._metrics.recall(revision.name, each.num_candidates, each.mean)
            recall.took_p50.FromTimedelta(timedelta(milliseconds=each.took_ms))
        return response

    async def SnapshotIndex(
        self, request: pb.SnapshotIndexRequest, context: "Context"
    ) -> operations_pb2.Operation:
        name = index_name(request.name, "name")
        index_wire.check_snapshot(request.repository, request.snapshot or "unnamed")
        await self._indexes.get_now(name)
        record = self._operations.new(
            maintenance.SNAPSHOT, name, {"repository": request.repository}
        )
        record.request["snapshot"] = request.snapshot or record.id.lower()
        return await self._rendering.render(await self._operations.start(record))

    async def RestoreIndex(
        self, request: pb.RestoreIndexRequest, context: "Context"
    ) -> operations_pb2.Operation:
        index_wire.check_snapshot(request.repository, request.snapshot)
        given = {"repository": request.repository, "snapshot": request.snapshot}
        return await self._start(maintenance.RESTORE, "", given)

    async def GetCluster(
        self, request: pb.GetClusterRequest, context: "Context"
    ) -> pb.GetClusterResponse:
        described = await cluster_facts.describe(self._cluster, self._bulk_bytes)
        return pb.GetClusterResponse(cluster=described)

    async def _start(self, kind: str, name: str, given: dict[str, Any]) -> operations_pb2.Operation:
        record = self._operations.new(kind, name, given)
        return await self._rendering.render(await self._operations.start(record))

    async def render(self, indexes: list[Index]) -> list[pb.Index]:
        """Renders indexes, with what they hold now."""
        version = await self._cluster.version()
        statistics = await self._indexes.statistics([index.live for index in indexes])
        return [_index(i, s, version) for i, s in zip(indexes, statistics, strict=True)]


def _index(index: Index, statistics: Statistics, version: str) -> pb.Index:
    live = index.live
    bytes_each = bytes_per_vector(live.options)
    return pb.Index(
        name=live.name,
        physical_index=live.physical,
        space=live.space,
        options=index_wire.options_message(live.options),
        document_count=statistics.documents,
        size_bytes=statistics.size_bytes,
        health=_HEALTH.get(statistics.health, pb.INDEX_HEALTH_UNSPECIFIED),
        created_at=timestamp(live.created_at),
        elasticsearch_version=version,
        revision=live.number,
        bytes_per_vector=bytes_each,
        search_memory_bytes=bytes_each * statistics.documents,
        segments=statistics.segments,
    )
