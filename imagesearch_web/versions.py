"""The same picture in other forms: versions, sources, duplicates."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from imagesearch.gateway.v1 import versions_pb2 as versions_pb
from starlette.requests import Request
from starlette.responses import Response

from imagesearch_web.bodies import read_json
from imagesearch_web.events import Event, EventStream, alive
from imagesearch_web.gateway import Gateway
from imagesearch_web.messages import answered, as_dict, index_of, parsed
from imagesearch_web.problems import ProblemError, invalid
from imagesearch_web.query_images import QueryImages
from imagesearch_web.sources import put_source, without_source

_ASKED = ("scan_id", "min_confidence", "max_neighbors", "keep")
_KEEP = {"largest": "KEEP_RULE_LARGEST", "oldest": "KEEP_RULE_OLDEST"}


class Versions:
    """Finds versions, sources and duplicates.

    Args:
        gateway: Finds them.
        kept: Query images.
        index: Of requests that name none.
        read_timeout_s: Longest that reading a request may take.
        heartbeat_s: Longest silence of a stream of events.
        stopping: Set when the server stops.
    """

    def __init__(
        self,
        gateway: Gateway,
        kept: QueryImages,
        index: str,
        read_timeout_s: float,
        heartbeat_s: float,
        stopping: asyncio.Event,
    ) -> None:
        self._gateway = gateway
        self._kept = kept
        self._index = index
        self._read_timeout_s = read_timeout_s
        self._heartbeat_s = heartbeat_s
        self._stopping = stopping

    async def versions(self, request: Request) -> Response:
        """FindVersions."""
        body = await read_json(request, self._read_timeout_s)
        body["index"] = index_of(request, body, self._index)
        message = parsed(without_source(body), versions_pb.FindVersionsRequest())
        moves = await put_source(body, message, self._kept)
        answer = await self._gateway.answer(
            self._gateway.stub.FindVersions, message, request.headers, moves
        )
        return answered(answer)

    async def source(self, request: Request) -> Response:
        """FindSource."""
        body = await read_json(request, self._read_timeout_s)
        body["index"] = index_of(request, body, self._index)
        message = parsed(without_source(body), versions_pb.FindSourceRequest())
        moves = await put_source(body, message, self._kept)
        answer = await self._gateway.answer(
            self._gateway.stub.FindSource, message, request.headers, moves
        )
        return answered(answer)

    async def duplicates(self, request: Request) -> Response:
        """FindDuplicates, as events. A browser that connects again goes on with its scan."""
        message = self._scan(request)
        events = self._events(message, request)
        return EventStream(alive(events, self._heartbeat_s, self._stopping))

    def _scan(self, request: Request) -> versions_pb.FindDuplicatesRequest:
        asked = request.query_params
        fields: dict[str, Any] = {name: asked[name] for name in _ASKED if asked.get(name)}
        fields.setdefault("scan_id", request.headers.get("last-event-id", ""))
        if "keep" in fields:
            fields["keep"] = _KEEP.get(fields["keep"], fields["keep"])
        if "filter" in asked:
            try:
                fields["filter"] = json.loads(asked["filter"])
            except (ValueError, RecursionError) as error:
                raise invalid("filter", "is no JSON", "JSON_INVALID") from error
        fields["index"] = index_of(request, None, self._index)
        return parsed(fields, versions_pb.FindDuplicatesRequest())

    async def _events(
        self, message: versions_pb.FindDuplicatesRequest, request: Request
    ) -> AsyncGenerator[Event]:
        answers = self._gateway.answers(self._gateway.stub.FindDuplicates, message, request.headers)
        try:
            async with aclosing(answers):
                async for answer in answers:
                    kind = answer.WhichOneof("event")
                    if kind is not None:
                        yield Event(kind, as_dict(getattr(answer, kind)), answer.progress.scan_id)
        except ProblemError as problem:
            yield Event("problem", problem.body())
