"""Server-Sent Events."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True)
class Event:
    """An event.

    Attributes:
        name: What `addEventListener` is called with.
        data: Told as JSON.
        last_id: What the browser sends as `Last-Event-ID` when it connects again. "": as before.
    """

    name: str
    data: Any
    last_id: str = ""

    def encoded(self) -> bytes:
        """The event on the wire. JSON has no line breaks of its own, nor have our names and ids."""
        last_id = f"id: {self.last_id}\n" if self.last_id else ""
        return f"event: {self.name}\n{last_id}data: {json.dumps(self.data)}\n\n".encode()


async def alive(
    events: AsyncGenerator[Event], heartbeat_s: float, stopping: asyncio.Event
) -> AsyncGenerator[bytes]:
    """Encodes events, with a comment whenever none has come for a while, until the server stops.

    Args:
        events: Closed at the end.
        heartbeat_s: Longest silence.
        stopping: Set when the server stops.
    """
    stop = asyncio.ensure_future(stopping.wait())
    coming: asyncio.Task[Event | None] | None = None
    try:
        while not stopping.is_set():
            coming = coming or asyncio.create_task(_next(events))
            await asyncio.wait(
                {coming, stop}, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED
            )
            if coming.done():
                event, coming = coming.result(), None
                if event is None:
                    return
                yield event.encoded()
            elif not stopping.is_set():
                yield b": still there\n\n"
    finally:
        stop.cancel()
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
        await events.aclose()


async def _next(events: AsyncGenerator[Event]) -> Event | None:
    return await anext(events, None)


class EventStream(StreamingResponse):
    """The answer that a stream of events is; its source is closed whatever ends it.

    Whoever runs it must cancel it when the client has gone: see connections.Leaving.
    """

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events, media_type=MEDIA_TYPE, headers=headers)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events."""
        async with aclosing(self._events):
            await self.stream_response(send)
