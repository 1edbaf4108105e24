"""The index that images go to, and which one it is in the journal."""

import asyncio
from typing import TYPE_CHECKING

import grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from image_kit.naming import DEFAULT_INDEX
from imagesearch_client.errors import ImageSearchError, UnavailableError
from imagesearch_ingest.journal import Identity, Journal

if TYPE_CHECKING:
    from imagesearch_client.async_client import AsyncClient

_SEARCH = "search_service"
_PAUSE_S = 1.0


class Target:
    """An index of a gateway.

    Args:
        client: The gateway.
        index: Its name; "" for the default.
        journal: What is known.
        patience_s: How long the system may be away.
    """

    def __init__(
        self, client: "AsyncClient", index: str, journal: Journal, patience_s: float = 30.0
    ) -> None:
        self.index = index or DEFAULT_INDEX
        self._client = client
        self._journal = journal
        self._patience_s = patience_s
        self._resolving = asyncio.Lock()
        self._sources: dict[str, int] = {}
        self.number: int | None = None
        """Its number in the journal; None: there is no such index yet."""

    async def resolve(self) -> None:
        """Finds out which index it is.

        Raises:
            ImageSearchError: The gateway is away, or search_service stays away.
        """
        async with self._resolving:
            identity = await self._identity()
            self.number = None if identity is None else self._journal.target(identity)
            self._sources.clear()

    async def check(self) -> None:
        """Forgets what was written if the index has been deleted meanwhile.

        Raises:
            ImageSearchError: As `resolve`.
        """
        before = self.number
        await self.resolve()
        if before is not None and before != self.number:
            self._journal.forget(before)

    def place(self, source: str) -> tuple[int, int] | None:
        """The numbers of the index and of a source in the journal; None: there is no index yet."""
        if self.number is None:
            return None
        if source not in self._sources:
            self._sources[source] = self._journal.source(self.number, source)
        return self.number, self._sources[source]

    async def _identity(self) -> Identity | None:
        end = asyncio.get_running_loop().time() + self._patience_s
        while True:
            status = await self._client.get_status(index=self.index)
            if status.HasField("index"):
                index = status.index
                created_ns = index.created_at.ToNanoseconds()
                return Identity(index.name, index.space, index.revision, created_ns)
            if (away := _away(status)) is None:
                return None
            if asyncio.get_running_loop().time() > end:
                raise away
            await asyncio.sleep(_PAUSE_S)


def _away(status: pb.GetStatusResponse) -> ImageSearchError | None:
    """Why nobody knows whether there is an index; None: there is none."""
    for component in status.components:
        if component.name == _SEARCH and not component.serving:
            return UnavailableError(
                grpc.StatusCode.UNAVAILABLE, component.detail or f"{_SEARCH} is away"
            )
    return None
