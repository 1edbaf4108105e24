"""RevisionService: each RPC parses, acts, renders."""

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from google.longrunning import operations_pb2
from imagesearch.search.v1 import revision_service_pb2 as pb
from imagesearch.search.v1 import revision_service_pb2_grpc as pb_grpc

from image_kit.naming import index_name
from search_service import index_wire, rebuilding, revision_wire
from search_service.errors import IndexNotFoundError
from search_service.indexes import Indexes, Statistics
from search_service.mappings import Revision
from search_service.operation_servicer import Rendering
from search_service.operation_store import Record
from search_service.operations import Operations
from search_service.records import timestamp
from search_service.revisions import SAMPLES, Revisions

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class RevisionServicer(pb_grpc.RevisionServiceServicer):
    """The RPCs of RevisionService.

    Args:
        indexes: What there is.
        revisions: Does the short work.
        operations: Do the long work.
        rendering: Renders operations.
    """

    def __init__(
        self,
        indexes: Indexes,
        revisions: Revisions,
        operations: Operations,
        rendering: Rendering,
    ) -> None:
        self._indexes = indexes
        self._revisions = revisions
        self._operations = operations
        self._rendering = rendering

    async def CreateRevision(
        self, request: pb.CreateRevisionRequest, context: "Context"
    ) -> pb.CreateRevisionResponse:
        name = revision_wire.required(request.name)
        space, options = revision_wire.new(request)
        made = await self._revisions.create(name, space, options)
        return pb.CreateRevisionResponse(revision=await self.render(made))

    async def ListRevisions(
        self, request: pb.ListRevisionsRequest, context: "Context"
    ) -> pb.ListRevisionsResponse:
        index = await self._indexes.get_now(index_name(request.name, "name"))
        found = index.revisions
        statistics = await self._indexes.statistics(found)
        return pb.ListRevisionsResponse(
            revisions=[_revision(r, s) for r, s in zip(found, statistics, strict=True)]
        )

    async def CompareRevisions(
        self, request: pb.CompareRevisionsRequest, context: "Context"
    ) -> pb.CompareRevisionsResponse:
        name = index_name(request.name, "name")
        number = revision_wire.number(request.revision)
        samples = revision_wire.samples(request.samples, SAMPLES)
        found = await self._revisions.compare(name, number, samples)
        return pb.CompareRevisionsResponse(comparison=pb.Comparison(**asdict(found)))

    async def PromoteRevision(
        self, request: pb.PromoteRevisionRequest, context: "Context"
    ) -> pb.PromoteRevisionResponse:
        name = revision_wire.required(request.name)
        number = revision_wire.number(request.revision)
        gate = revision_wire.gate(request.gate)
        live, found = await self._revisions.promote(name, number, gate)
        response = pb.PromoteRevisionResponse(revision=await self.render(live))
        if found is not None:
            response.comparison.CopyFrom(pb.Comparison(**asdict(found)))
        return response

    async def RollBackRevision(
        self, request: pb.RollBackRevisionRequest, context: "Context"
    ) -> pb.RollBackRevisionResponse:
        live = await self._revisions.roll_back(revision_wire.required(request.name))
        return pb.RollBackRevisionResponse(revision=await self.render(live))

    async def DeleteRevision(
        self, request: pb.DeleteRevisionRequest, context: "Context"
    ) -> pb.DeleteRevisionResponse:
        name = revision_wire.required(request.name)
        await self._revisions.delete(name, revision_wire.number(request.revision))
        return pb.DeleteRevisionResponse()

    async def RebuildIndex(
        self, request: pb.RebuildIndexRequest, context: "Context"
    ) -> operations_pb2.Operation:
        name = revision_wire.required(request.name)
        live = (await self._indexes.get_now(name)).live
        given = {
            "options": asdict(revision_wire.rebuilt(request, live.options)),
            "gate": asdict(revision_wire.gate(request.gate)),
            "optimize": request.optimize,
            "delete_previous": request.delete_previous,
        }
        record = self._operations.new(rebuilding.KIND, name, given)
        started = await self._operations.start_only(record)
        return await self._rendering.render(started)

    async def rebuilt(self, record: Record) -> pb.RebuildIndexResponse:
        """Renders what RebuildIndex has done."""
        response = pb.RebuildIndexResponse()
        with suppress(IndexNotFoundError):  # deleted since
            index = await self._indexes.get_now(record.index)
            if (revision := index.revision(record.response["revision"])) is not None:
                response.revision.CopyFrom(await self.render(revision))
        if record.response["comparison"] is not None:
            response.comparison.CopyFrom(pb.Comparison(**record.response["comparison"]))
        return response

    async def render(self, revision: Revision) -> pb.Revision:
        """Renders one, with what it holds now."""
        (statistics,) = await self._indexes.statistics([revision])
        return _revision(revision, statistics)


def _revision(revision: Revision, statistics: Statistics) -> pb.Revision:
    state = pb.REVISION_STATE_STANDBY if revision.epoch else pb.REVISION_STATE_FILLING
    message = pb.Revision(
        number=revision.number,
        physical_index=revision.physical,
        state=pb.REVISION_STATE_LIVE if revision.live else state,
        space=revision.space,
        options=index_wire.options_message(revision.options),
        document_count=statistics.documents,
        size_bytes=statistics.size_bytes,
        created_at=timestamp(revision.created_at),
        operation=f"operations/{revision.operation}" if revision.operation else "",
    )
    if revision.promoted_at:
        message.promoted_at.CopyFrom(timestamp(revision.promoted_at))
    return message
