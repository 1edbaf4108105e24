"""Many images over one stream, which is opened anew as often as it breaks."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_client.errors import (
    DeadlineError,
    ImageSearchError,
    OverloadedError,
    UnavailableError,
    from_rpc_error,
    from_status,
)
from service_kit.errors import LISTEN_S, hides_its_reason

if TYPE_CHECKING:
    from imagesearch_client.calls import Calls

_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True)
class UploadLimits:
    """Bounds of a stream of images.

    Attributes:
        max_in_flight: Most images that are sent and not answered.
        max_bytes_in_flight: Most bytes of them together; one larger image goes alone.
        attempts: How often one image is sent before what it fails with is its answer.
        patience_s: How long nothing may come but failures that pass, before all is given up.
        answer_timeout_s: Longest to wait for the answer to an image before the stream is
            opened anew.
    """

    max_in_flight: int = 64
    max_bytes_in_flight: int = 64 * 1024 * 1024
    attempts: int = 8
    patience_s: float = 30.0
    answer_timeout_s: float = 300.0


@dataclass(frozen=True)
class UploadOutcome:
    """What became of one image.

    Attributes:
        number: Its number among the uploads, from 0. Outcomes come in no order.
        upload: The very message that was given.
        indexed: Its id and what was done; None: it was refused.
        error: Why it was refused; None: it is stored.
    """

    number: int
    upload: pb.ImageUpload
    indexed: pb.IndexedImage | None = None
    error: ImageSearchError | None = None


@dataclass
class _Sent:
    upload: pb.ImageUpload
    attempts: int = 0
    since: float = field(default_factory=time.monotonic)


Uploads = Iterable[pb.ImageUpload] | AsyncIterable[pb.ImageUpload]


class Uploading:
    """One run of `index_images`.

    A task reads the uploads as the window has room. What is read waits in `_outgoing` for the
    stream; what is not answered stays in `_unanswered`, to be sent again on the next one.

    Args:
        method: The stub's.
        calls: How calls are made.
        uploads: The images. One that is no async iterable is read in a thread, so it may block.
        index: Name of the index; "" for the default.
        limits: Bounds.
    """

    def __init__(
        self,
        method: "grpc.aio.StreamStreamMultiCallable[Any, pb.IndexImagesResponse]",
        calls: "Calls",
        uploads: Uploads,
        index: str,
        limits: UploadLimits,
    ) -> None:
        self._method = method
        self._calls = calls
        self._uploads = uploads
        self._index = index
        self._limits = limits
        self._unanswered: dict[int, _Sent] = {}
        self._outgoing: asyncio.Queue[int | None] = asyncio.Queue()  # bounded by the window
        self._failing_since: float | None = None
        self._bytes = 0
        self._room = asyncio.Event()
        self._all_read = False
        self._listen_first = False

    async def outcomes(self) -> AsyncGenerator[UploadOutcome]:
        """Gives the outcomes as they come. Leaving the loop ends the stream.

        Raises:
            ImageSearchError: The system stayed away, or refused the stream as a whole.
            Exception: What the uploads raised, once all that were sent are answered.
        """
        reading = asyncio.create_task(self._read())
        breaks = 0
        try:
            while True:
                try:
                    async with aclosing(self._one_stream()) as answered:
                        async for outcome in answered:
                            breaks = 0
                            yield outcome
                    break
                except ImageSearchError as error:
                    if self._all_read and not self._unanswered:
                        break  # it broke after the last answer
                    if not _passes(error):
                        raise
                    breaks += 1
                    self._check_patience(error)
                    await asyncio.sleep(_pause(breaks, error))
            await reading
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.exception()  # it is raised above, or the stream's own error matters more

    async def _read(self) -> None:
        """Takes uploads in, one at a time."""
        try:
            async with aclosing(_numbered(self._uploads)) as numbered:
                async for number, upload in numbered:
                    await self._wait_for_room(len(upload.content))
                    self._bytes += len(upload.content)
                    self._unanswered[number] = _Sent(upload)
                    self._outgoing.put_nowait(number)
        finally:
            self._all_read = True
            self._end_if_done()

    async def _wait_for_room(self, size: int) -> None:
        while self._unanswered and (
            len(self._unanswered) >= self._limits.max_in_flight
            or self._bytes + size > self._limits.max_bytes_in_flight
        ):
            self._room.clear()
            await self._room.wait()

    def _end_if_done(self) -> None:
        if self._all_read and not self._unanswered:
            self._outgoing.put_nowait(None)

    async def _requests(
        self, outgoing: asyncio.Queue[int | None]
    ) -> AsyncIterator[pb.IndexImagesRequest]:
        if self._listen_first:
            await asyncio.sleep(LISTEN_S)
        while (number := await outgoing.get()) is not None:
            if (sent := self._unanswered.get(number)) is not None:
                sent.since = time.monotonic()
                yield pb.IndexImagesRequest(
                    request_id=str(number), index=self._index, image=sent.upload
                )

    async def _one_stream(self) -> AsyncGenerator[UploadOutcome]:
        # A queue of its own: gRPC may go on reading the requests of a stream that has ended.
        outgoing: asyncio.Queue[int | None] = asyncio.Queue()
        self._outgoing = outgoing
        for number in self._unanswered:
            outgoing.put_nowait(number)
        self._end_if_done()
        later: set[asyncio.TimerHandle] = set()
        call: Any = self._method(self._requests(outgoing), metadata=self._calls.metadata)
        try:
            while (answer := await self._next(call)) is not None:
                self._listen_first = False
                if (outcome := self._answered(answer, later)) is not None:
                    yield outcome
        except grpc.aio.AioRpcError as broken:
            if hides_its_reason(broken):
                self._listen_first = True
                what = "the stream broke while it was written to"
                raise UnavailableError(grpc.StatusCode.UNAVAILABLE, what) from broken
            raise from_rpc_error(broken) from broken
        finally:
            for timer in later:
                timer.cancel()
            call.cancel()
            outgoing.put_nowait(None)
        if self._unanswered or not self._all_read:
            raise UnavailableError(grpc.StatusCode.UNAVAILABLE, "the stream ended early")

    async def _next(self, call: Any) -> pb.IndexImagesResponse | None:
        """The next answer; None: the stream has ended well."""
        reading = asyncio.ensure_future(call.read())
        try:
            while not reading.done():
                await asyncio.wait([reading], timeout=self._limits.answer_timeout_s / 10)
                now = time.monotonic()
                oldest = min((sent.since for sent in self._unanswered.values()), default=now)
                if not reading.done() and now - oldest > self._limits.answer_timeout_s:
                    what = f"there was no answer for {now - oldest:.3g} s"
                    raise DeadlineError(grpc.StatusCode.DEADLINE_EXCEEDED, what)
            answer = reading.result()
        finally:
            reading.cancel()
        if answer is grpc.aio.EOF:
            return None
        response: pb.IndexImagesResponse = answer
        return response

    def _answered(
        self, answer: pb.IndexImagesResponse, later: set[asyncio.TimerHandle]
    ) -> UploadOutcome | None:
        """Reads an answer; None if the image is sent again, or the answer is none of ours."""
        number = int(answer.request_id) if answer.request_id.isdecimal() else -1
        sent = self._unanswered.get(number)
        if sent is None:
            return None
        error = from_status(answer.error) if answer.HasField("error") else None
        if error is not None and _passes(error):
            sent.attempts += 1
            self._check_patience(error)
            if sent.attempts < self._limits.attempts:
                pause_s = _pause(sent.attempts, error)
                sent.since = time.monotonic() + pause_s
                loop = asyncio.get_running_loop()
                later.add(loop.call_later(pause_s, self._outgoing.put_nowait, number))
                return None
        else:
            self._failing_since = None
        del self._unanswered[number]
        self._bytes -= len(sent.upload.content)
        self._room.set()
        self._end_if_done()
        indexed = None if error is not None else answer.indexed
        return UploadOutcome(number, sent.upload, indexed, error)

    def _check_patience(self, error: ImageSearchError) -> None:
        """Raises the error if nothing but failures has come for too long."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since > self._limits.patience_s:
            raise error


def _passes(error: ImageSearchError) -> bool:
    """Whether the same may work a moment later."""
    if isinstance(error, OverloadedError):
        return error.retry_after is not None  # else there is no room, and will be none
    return isinstance(error, UnavailableError | DeadlineError)


def _pause(failures: int, error: ImageSearchError) -> float:
    told_s = error.retry_after.total_seconds() if error.retry_after is not None else 0.0
    return min(max(0.1 * 2.0**failures, told_s), _LONGEST_PAUSE_S)


async def _numbered(uploads: Uploads) -> AsyncGenerator[tuple[int, pb.ImageUpload]]:
    number = 0
    if isinstance(uploads, AsyncIterable):
        try:
            async for upload in uploads:
                yield number, upload
                number += 1
        finally:
            if isinstance(uploads, AsyncGenerator):
                await uploads.aclose()
        return
    iterator: Iterator[pb.ImageUpload] = iter(uploads)
    while (upload_or_none := await asyncio.to_thread(next, iterator, None)) is not None:
        yield number, upload_or_none
        number += 1
