"""google.longrunning.Operations: each RPC parses, acts, renders."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from google.longrunning import operations_pb2 as pb
from google.longrunning import operations_pb2_grpc as pb_grpc
from google.protobuf import empty_pb2
from google.protobuf.message import Message
from imagesearch.search.v1 import index_service_pb2

from search_service.errors import OperationNotFoundError, OperationRunningError
from search_service.operation_store import Record
from search_service.operations import Operations
from search_service.records import timestamp
from service_kit.deadlines import remaining
from service_kit.errors import Violations
from service_kit.identity.callers import may_see

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

_PREFIX = "operations/"
_LONGEST_WAIT_S = 60.0

Response = Callable[[Record], Awaitable[Message]]
"""Renders what an operation of a kind has done."""


class Rendering:
    """Renders operations.

    Args:
        responses: For each kind that clients see.
    """

    def __init__(self, responses: Mapping[str, Response]) -> None:
        self._responses = responses

    def shows(self, record: Record) -> bool:
        """Whether the caller sees it: of callers limited to some indexes, only theirs."""
        return record.kind in self._responses and may_see(record.index)

    async def render(self, record: Record) -> pb.Operation:
        """Renders one."""
        operation = pb.Operation(name=f"{_PREFIX}{record.id}", done=record.done)
        metadata = index_service_pb2.OperationMetadata(
            kind=record.kind,
            index=record.index,
            created_at=timestamp(record.created_at),
            updated_at=timestamp(record.updated_at or record.created_at),
            step=record.step,
            documents_done=record.documents_done,
            documents_total=record.documents_total,
            cancel_requested=record.cancelled,
        )
        operation.metadata.Pack(metadata)
        if record.error:
            operation.error.code = record.error["code"]
            operation.error.message = record.error["message"]
        elif record.done:
            operation.response.Pack(await self._responses[record.kind](record))
        return operation


class OperationServicer(pb_grpc.OperationsServicer):
    """The RPCs of google.longrunning.Operations.

    Args:
        operations: What there is.
        rendering: Renders them.
    """

    def __init__(self, operations: Operations, rendering: Rendering) -> None:
        self._operations = operations
        self._rendering = rendering

    async def GetOperation(
        self, request: pb.GetOperationRequest, context: "Context"
    ) -> pb.Operation:
        return await self._rendering.render(await self._get(request.name))

    async def ListOperations(
        self, request: pb.ListOperationsRequest, context: "Context"
    ) -> pb.ListOperationsResponse:
        wrong = Violations()
        if request.filter:
            wrong.add("filter", "is not supported")
        if request.page_size < 0:
            wrong.add("page_size", f"is {request.page_size}; it must not be negative")
        if request.page_token and not request.page_token.isdigit():
            wrong.add("page_token", "is not a token that ListOperations gave")
        wrong.raise_if_any()
        records = [record for record, _ in await self._operations.store.all()]
        shown = [record for record in records if self._rendering.shows(record)]
        begin = int(request.page_token or 0)
        end = begin + (request.page_size or 100)
        return pb.ListOperationsResponse(
            operations=[await self._rendering.render(record) for record in shown[begin:end]],
            next_page_token=str(end) if end < len(shown) else "",
        )

    async def WaitOperation(
        self, request: pb.WaitOperationRequest, context: "Context"
    ) -> pb.Operation:
        record = await self._get(request.name)
        seconds = _LONGEST_WAIT_S
        if request.HasField("timeout"):
            seconds = min(seconds, request.timeout.ToTimedelta().total_seconds())
        record = await self._operations.wait(record.id, remaining(seconds) - 0.2)
        return await self._rendering.render(record)

    async def CancelOperation(
        self, request: pb.CancelOperationRequest, context: "Context"
    ) -> empty_pb2.Empty:
        await self._operations.cancel((await self._get(request.name)).id)
        return empty_pb2.Empty()

    async def DeleteOperation(
        self, request: pb.DeleteOperationRequest, context: "Context"
    ) -> empty_pb2.Empty:
        record = await self._get(request.name)
        if not record.done:
            raise OperationRunningError(request.name)
        await self._operations.store.delete(record.id)
        return empty_pb2.Empty()

    async def _get(self, name: str) -> Record:
        if not name.startswith(_PREFIX):
            raise OperationNotFoundError(name)
        record, _ = await self._operations.store.get(name.removeprefix(_PREFIX))
        if not self._rendering.shows(record):
            raise OperationNotFoundError(name)
        return record
