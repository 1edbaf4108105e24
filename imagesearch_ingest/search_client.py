"""search_service, for those who run it: an index's documents with their vectors."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from google.rpc import code_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import index_service_pb2_grpc as index_grpc
from imagesearch.search.v1 import search_service_pb2 as pb
from imagesearch.search.v1 import search_service_pb2_grpc as pb_grpc
from numpy.typing import NDArray

from imagesearch_client.errors import ImageSearchError, NotFoundError, from_rpc_error, from_status
from service_kit.client import channel
from service_kit.tls.client import ClientTls
from service_kit.vectors import to_vector

_TIMEOUT_S = 60.0
_ANSWER_S = 300.0
_ATTEMPTS = 6
_PASSING = {code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.RESOURCE_EXHAUSTED}
_MOST_MESSAGE_BYTES = 64 * 1024 * 1024

_SEARCH = pb.DESCRIPTOR.services_by_name["SearchService"].full_name
_INDEXES = index_pb.DESCRIPTOR.services_by_name["IndexService"].full_name

Row = tuple[types.Document, NDArray[np.float32]]


@dataclass
class Upserted:
    """What became of documents.

    Attributes:
        outcomes: How many were created, merged and unchanged, by UpsertOutcome.
        refused: (image_id, reason).
    """

    outcomes: dict[int, int]
    refused: list[tuple[str, str]]


class SearchClient:
    """Calls search_service.

    Args:
        opened: A channel to it.
    """

    def __init__(self, opened: grpc.aio.Channel) -> None:
        self._documents: Any = pb_grpc.SearchServiceStub(opened)
        self._indexes: Any = index_grpc.IndexServiceStub(opened)

    async def index(self, name: str) -> index_pb.Index | None:
        """Describes an index; None: there is none.

        Raises:
            ImageSearchError: It failed.
        """
        request = index_pb.GetIndexRequest(name=name)
        try:
            answer: index_pb.GetIndexResponse = await self._call(self._indexes.GetIndex, request)
        except NotFoundError:
            return None
        return answer.index

    async def refresh(self, name: str) -> None:
        """Makes every acknowledged write visible.

        Raises:
            ImageSearchError: It failed.
        """
        await self._call(self._indexes.RefreshIndex, index_pb.RefreshIndexRequest(name=name))

    async def create_index(self, name: str, like: index_pb.Index) -> index_pb.Index:
        """Creates an index for the same space with the same options.

        Raises:
            ImageSearchError: It failed.
        """
        options = index_pb.IndexOptions()
        options.CopyFrom(like.options)
        options.ClearField("replicas")  # as many as this cluster can hold
        request = index_pb.CreateIndexRequest(name=name, space=like.space, options=options)
        answer: index_pb.CreateIndexResponse = await self._call(self._indexes.CreateIndex, request)
        return answer.index

    async def page(self, index: str, size: int, token: str) -> pb.ListDocumentsResponse:
        """Lists some documents, with their vectors, in the order of their ids.

        Raises:
            ImageSearchError: It failed.
        """
        request = pb.ListDocumentsRequest(
            index=index, include_vectors=True, page_size=size, page_token=token
        )
        answer: pb.ListDocumentsResponse = await self._call(self._documents.ListDocuments, request)
        return answer

    async def upsert(
        self, index: str, space: str, batches: Iterable[Sequence[Row]], in_flight: int = 4
    ) -> AsyncGenerator[Upserted]:
        """Stores documents as a bulk load, many in a message; what was not answered is sent again.

        Args:
            index: Name of the index.
            space: The space of the vectors.
            batches: Documents and vectors, at most 1,000 together.
            in_flight: Batches sent and not answered.

        Yields:
            What became of each batch, in no order.

        Raises:
            ImageSearchError: search_service stayed away, or refused the stream as a whole.
        """
        waiting = iter(batches)
        unanswered: dict[str, Sequence[Row]] = {}
        numbers = iter(range(1 << 62))
        failures = 0
        finished = False
        while not finished or unanswered:
            room = asyncio.Semaphore(in_flight)

            async def requests(room: asyncio.Semaphore = room) -> AsyncIterator[Any]:
                nonlocal finished
                for number, batch in list(unanswered.items()):
                    await room.acquire()
                    yield _request(number, index, space, batch)
                while True:
                    await room.acquire()
                    batch_or_none = await asyncio.to_thread(next, waiting, None)
                    if batch_or_none is None:
                        finished = True
                        return
                    number = str(next(numbers))
                    unanswered[number] = batch_or_none
                    yield _request(number, index, space, batch_or_none)

            call = self._documents.UpsertDocuments(requests())
            try:
                while True:
                    answer = await asyncio.wait_for(call.read(), _ANSWER_S)
                    if answer is grpc.aio.EOF:
                        break
                    room.release()
                    batch = unanswered.pop(answer.request_id)
                    done, left = _sorted(batch, answer)
                    if left:  # their fate is not known, or they could not be stored for now
                        unanswered[str(next(numbers))] = left
                    if done.outcomes or done.refused:
                        failures = 0
                    yield done
            except (grpc.aio.AioRpcError, TimeoutError) as broken:
                error = from_rpc_error(broken) if isinstance(broken, grpc.aio.AioRpcError) else None
                failures += 1
                if failures >= _ATTEMPTS or (error is not None and not _passes(error)):
                    raise (error or broken) from broken
                await asyncio.sleep(min(0.2 * 2**failures, 5.0))
            else:
                if unanswered:
                    failures += 1
                    if failures >= _ATTEMPTS:
                        raise from_status(_away())
                    await asyncio.sleep(min(0.2 * 2**failures, 5.0))
            finally:
                call.cancel()

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


@asynccontextmanager
async def search_client(
    address: str, api_key: str = "", tls: ClientTls | None = None
) -> AsyncIterator[SearchClient]:
    """Opens a connection to search_service; `api_key` is sent with every call.

    Raises:
        CertificateError: The files of `tls` cannot be used.
    """
    idempotent = [f"{_SEARCH}/ListDocuments", f"{_INDEXES}/GetIndex"]
    async with channel(
        address,
        idempotent=idempotent,
        max_message_bytes=_MOST_MESSAGE_BYTES,
        api_key=api_key,
        tls=tls,
    ) as opened:
        yield SearchClient(opened)


def _request(number: str, index: str, space: str, batch: Sequence[Row]) -> Any:
    more = [
        pb.UpsertDocumentsRequest(
            index=index,
            document=document,
            vector=to_vector(vector, space),
            bulk_load=True,
        )
        for document, vector in batch
    ]
    return pb.UpsertDocumentsRequest(request_id=number, index=index, bulk_load=True, more=more)


def _sorted(
    batch: Sequence[Row], answer: pb.UpsertDocumentsResponse
) -> tuple[Upserted, Sequence[Row]]:
    """What became of a batch, and what of it has to be sent again."""
    done = Upserted({}, [])
    left: list[Row] = []
    for row, each in zip(batch, answer.more, strict=True):
        if not each.HasField("error"):
            done.outcomes[each.outcome] = done.outcomes.get(each.outcome, 0) + 1
        elif each.error.code in _PASSING:
            left.append(row)
        else:
            done.refused.append((row[0].image_id, from_status(each.error).message))
    return done, left


def _passes(error: ImageSearchError) -> bool:
    return error.code.value[0] in _PASSING


def _away() -> Any:
    from google.rpc import status_pb2

    return status_pb2.Status(
        code=code_pb2.UNAVAILABLE, message="search_service does not store what it is sent"
    )
