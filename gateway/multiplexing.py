"""Many questions on one bidirectional stream: answers find their questions by id."""

import asyncio
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextvars import copy_context
from typing import Generic, Protocol, TypeVar

import grpc

from service_kit import deadlines
from service_kit.deadlines import remaining
from service_kit.errors import (
    LISTEN_S,
    DeadlineError,
    StoppingError,
    UnavailableError,
    from_rpc_error,
    hides_its_reason,
)


class Numbered(Protocol):
    """A request or an answer that carries a request's id."""

    request_id: str


Q = TypeVar("Q", bound=Numbered)
A = TypeVar("A", bound=Numbered)

Open = Callable[[AsyncIterator[Q]], AsyncIterable[A]]
"""Opens the stream: a stub's method."""


class Multiplexer(Generic[Q, A]):
    """Asks over one stream. If the stream breaks, what was asked fails; the next opens another.

    What is sent and not answered is bounded by the askers: each waits for its answer.

    Args:
        open_stream: Opens the stream.
        service: Name of the other service, for errors.
        timeout_s: Longest to wait for one answer.
    """

    def __init__(self, open_stream: Open[Q, A], service: str, timeout_s: float) -> None:
        self._open = open_stream
        self._service = service
        self._timeout_s = timeout_s
        self._stream: _Stream[Q, A] | None = None
        # The stream is of whoever made us, not of the one among many who happens to ask first.
        self._context = copy_context()
        self._ids = itertools.count(1)

    async def ask(self, request: Q) -> A:
        """Sends a request, with an id of our own, and waits for its answer.

        Raises:
            ServiceError: There is none; whether the request was acted on is not known.
            DeadlineError: The caller's time is over.
        """
        deadlines.check(f"{self._service} was asked")
        seconds = remaining(self._timeout_s)
        if self._stream is None or self._stream.ended:
            hidden = self._stream is not None and self._stream.hides_why
            listen_s = LISTEN_S if hidden else 0.0
            self._stream = self._context.run(_Stream, self._open, self._service, listen_s)
        request.request_id = str(next(self._ids))
        try:
            async with asyncio.timeout(seconds):
                return await self._stream.ask(request)
        except TimeoutError as error:
            if seconds < self._timeout_s:
                raise DeadlineError(f"{self._service} did not answer in time") from error
            raise UnavailableError(f"{self._service} does not answer in time") from error

    async def close(self) -> None:
        """Ends the stream; what was not answered fails."""
        if self._stream is not None:
            await self._stream.close()


class _Stream(Generic[Q, A]):
    def __init__(self, open_stream: Open[Q, A], service: str, listen_s: float) -> None:
        self.ended = False
        self.hides_why = False
        self._service = service
        self._listen_s = listen_s
        self._outgoing: asyncio.Queue[Q] = asyncio.Queue()
        self._asked: dict[str, asyncio.Future[A]] = {}
        self._reader = asyncio.create_task(self._read(open_stream(self._requests())))

    async def ask(self, request: Q) -> A:
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._asked[request.request_id] = answer
        self._outgoing.put_nowait(request)
        try:
            return await answer
        finally:
            self._asked.pop(request.request_id, None)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _requests(self) -> AsyncIterator[Q]:
        await asyncio.sleep(self._listen_s)
        while True:
            request = await self._outgoing.get()
            if request.request_id in self._asked:  # else nobody waits any more
                yield request

    async def _read(self, answers: AsyncIterable[A]) -> None:
        error: Exception = UnavailableError(f"{self._service} ended the stream")
        try:
            async for answer in answers:
                asked = self._asked.get(answer.request_id)
                if asked is not None and not asked.done():
                    asked.set_result(answer)
        except grpc.aio.AioRpcError as broken:
            self.hides_why = hides_its_reason(broken)
            error = from_rpc_error(broken, self._service)
        except asyncio.CancelledError:
            error = StoppingError()
            raise
        finally:
            self.ended = True
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(error)
