"""Clients that leave, clients that still send, and too many of them."""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagesearch_web.problems import ProblemError

_MOST_DRAINED = 64 * 1024 * 1024
_DRAIN_S = 10.0


class Bounded:
    """Refuses requests of the API while too many are being answered.

    Args:
        app: What answers the others.
        most: How many at a time.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        if self._count >= self._most:
            what = "too many requests are being answered"
            problem = ProblemError(503, "OVERLOADED", what, retry_after_s=1.0)
            await problem.response()(scope, receive, send)
            return
        self._count += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._count -= 1


class Leaving:
    """Cancels the work for a client that has gone: nobody waits for it.

    Args:
        app: What answers. Its request is read by it, or has no body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = asyncio.Event()

        async def receive_counted() -> Message:
            message = await receive()
            if not message.get("more_body"):
                received.set()
            return message

        async def gone() -> None:
            if scope["method"] not in {"GET", "HEAD"}:
                await received.wait()
            while (await receive())["type"] != "http.disconnect":
                pass

        work = asyncio.ensure_future(self._app(scope, receive_counted, send))
        watch = asyncio.ensure_future(gone())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            work.cancel()
            await asyncio.wait({work})
        if not work.cancelled():
            work.result()


class Draining:
    """Reads on, for a while, what a client still sends while it is being refused.

    A server that closes the connection on a client in the middle of an upload resets it, and the
    client never sees the answer. The answer goes out at once; what then comes is thrown away.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        more = True

        async def receive_counted() -> Message:
            nonlocal more
            message = await receive()
            more = bool(message.get("more_body"))
            return message

        async def drain() -> None:
            left = _MOST_DRAINED
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_S):
                    while more and left > 0:
                        left -= len((await receive_counted()).get("body", b""))

        async def send_before_draining(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body")
            if last and more and not _waits_to_be_asked(scope):
                await send({**message, "more_body": True})
                await drain()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(scope, receive_counted, send_before_draining)


def _waits_to_be_asked(scope: Scope) -> bool:
    return any(name == b"expect" for name, _ in scope["headers"])
