"""IndexService: each RPC parses, acts, renders."""

from typing import TYPE_CHECKING, Any

from imagesearch.search.v1 import index_service_pb2 as pb
from imagesearch.search.v1 import index_service_pb2_grpc as pb_grpc

from image_kit.naming import index_name
from search_service import wire
from search_service.cluster import Cluster
from search_service.indexes import Indexes, Statistics
from search_service.mappings import Definition
from search_service.records import timestamp
from service_kit.errors import Violations

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
        indexes: Does the work.
        cluster: Tells its version.
    """

    def __init__(self, indexes: Indexes, cluster: Cluster) -> None:
        self._indexes = indexes
        self._cluster = cluster

    async def CreateIndex(
        self, request: pb.CreateIndexRequest, context: "Context"
    ) -> pb.CreateIndexResponse:
        name, space, options = wire.new_index(request)
        definition = await self._indexes.create(name, space, options)
        return pb.CreateIndexResponse(index=(await self._render([definition]))[0])

    async def GetIndex(
        self, request: pb.GetIndexRequest, context: "Context"
    ) -> pb.GetIndexResponse:
        definition = await self._indexes.definition(index_name(request.name, "name"))
        return pb.GetIndexResponse(index=(await self._render([definition]))[0])

    async def ListIndexes(
        self, request: pb.ListIndexesRequest, context: "Context"
    ) -> pb.ListIndexesResponse:
        size, after = wire.page(request)
        left = [each for each in await self._indexes.all() if each.name > after]
        page = left[:size]
        token = wire.page_token(page[-1].name) if len(left) > size else ""
        return pb.ListIndexesResponse(indexes=await self._render(page), next_page_token=token)

    async def RefreshIndex(
        self, request: pb.RefreshIndexRequest, context: "Context"
    ) -> pb.RefreshIndexResponse:
        await self._indexes.refresh(index_name(request.name, "name"))
        return pb.RefreshIndexResponse()

    async def DeleteIndex(
        self, request: pb.DeleteIndexRequest, context: "Context"
    ) -> pb.DeleteIndexResponse:
        wrong = Violations()
        if not request.name:
            wrong.add("name", "is not set; nothing is deleted by default")
        wrong.raise_if_any()
        await self._indexes.delete(index_name(request.name, "name"))
        return pb.DeleteIndexResponse()

    async def _render(self, definitions: list[Definition]) -> list[pb.Index]:
        version = await self._cluster.version()
        statistics = await self._indexes.statistics(definitions)
        return [_index(d, s, version) for d, s in zip(definitions, statistics, strict=True)]


def _index(definition: Definition, statistics: Statistics, version: str) -> pb.Index:
    return pb.Index(
        name=definition.name,
        physical_index=definition.physical,
        space=definition.space,
        options=wire.options_message(definition.options),
        document_count=statistics.documents,
        size_bytes=statistics.size_bytes,
        health=_HEALTH.get(statistics.health, pb.INDEX_HEALTH_UNSPECIFIED),
        created_at=timestamp(definition.created_at),
        elasticsearch_version=version,
    )
