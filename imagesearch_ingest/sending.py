"""The third stage: streams that send images and take the answers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_client.errors import NotFoundError
from imagesearch_client.uploading import UploadLimits, UploadOutcome
from imagesearch_ingest.budget import Handover
from imagesearch_ingest.journal import Entry
from imagesearch_ingest.recording import Recorder
from imagesearch_ingest.target import Target
from imagesearch_ingest.work import Loaded, Outcome

if TYPE_CHECKING:
    from imagesearch_client.async_client import AsyncClient

_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""Codes of single images that may be stored another time: they are not remembered as refused."""

_MOST_SENT_AGAIN = 3


class Sender:
    """Sends what has been read. `run` may be running several times: each is a stream.

    Args:
        client: The gateway.
        target: The index.
        source: Name of the source.
        loaded: What has been read.
        window: Bounds what is sent and not written to the journal.
        recorder: Gets the outcomes.
        limits: Of each stream.
    """

    def __init__(
        self,
        client: "AsyncClient",
        target: Target,
        source: str,
        loaded: Handover[Loaded],
        window: asyncio.Semaphore,
        recorder: Recorder,
        limits: UploadLimits,
    ) -> None:
        self._client = client
        self._target = target
        self._source = source
        self._loaded = loaded
        self._window = window
        self._recorder = recorder
        self._limits = limits
        self._sent_again: Counter[str] = Counter()

    async def run(self) -> None:
        """Sends until there is no more. A stream is only opened when there is something to send.

        Raises:
            ImageSearchError: The system stayed away, or refused the stream as a whole.
        """
        while (first := await self._loaded.get()) is not None:
            await self._one_stream(first)

    async def _one_stream(self, first: Loaded) -> None:
        sent: dict[int, Loaded] = {}

        async def uploads() -> AsyncIterator[pb.ImageUpload]:
            loaded: Loaded | None = first
            number = 0
            while loaded is not None:
                await self._window.acquire()
                sent[number] = loaded
                number += 1
                yield loaded.upload
                loaded = await self._loaded.get()

        outcomes = self._client.index_images(
            uploads(), index=self._target.index, limits=self._limits
        )
        async for outcome in outcomes:
            loaded = sent.pop(outcome.number)
            if self._is_to_be_sent_again(loaded, outcome):
                continue
            if outcome.indexed is not None and self._target.place(self._source) is None:
                await self._target.resolve()
                if (place := self._target.place(self._source)) is not None:
                    self._recorder.use(*place)
            self._recorder.add(_outcome(loaded, outcome))

    def _is_to_be_sent_again(self, loaded: Loaded, outcome: UploadOutcome) -> bool:
        """The index was deleted a moment ago: the gateway makes it again for the next image."""
        self._sent_again[loaded.key] += 1
        if (
            not isinstance(outcome.error, NotFoundError)
            or self._loaded.stopped
            or self._sent_again[loaded.key] > _MOST_SENT_AGAIN
        ):
            del self._sent_again[loaded.key]
            return False
        self._window.release()
        self._loaded.give_back(loaded)
        return True


def _outcome(loaded: Loaded, answer: UploadOutcome) -> Outcome:
    size = len(loaded.upload.content)
    if answer.indexed is not None:
        what = types.UpsertOutcome.Name(answer.indexed.outcome)
        what = what.removeprefix("UPSERT_OUTCOME_").lower()
        entry = Entry(
            loaded.key,
            loaded.stamp,
            loaded.image,
            loaded.said,
            loaded.place,
            answer.indexed.outcome == types.UPSERT_OUTCOME_CREATED,
            "",
        )
        return Outcome(entry, what, loaded.held, size)
    assert answer.error is not None
    error = answer.error
    why = "; ".join(f"{field}: {what}" for field, what in error.violations) or error.message
    entry = Entry(loaded.key, loaded.stamp, None, None, None, False, why)
    return Outcome(entry, "failed" if error.code in _PASSING else "refused", loaded.held, size)
