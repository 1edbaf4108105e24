"""Images that clients send, within bounds of one and of all together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from imagesearch_web import bodies
from imagesearch_web.problems import invalid
from service_kit.budget import ByteBudget


class Uploads:
    """Reads encoded images.

    Args:
        most: Bytes of one.
        most_in_flight: Bytes of all that are held at a time.
        timeout_s: Longest for one.
    """

    def __init__(self, most: int, most_in_flight: int, timeout_s: float) -> None:
        self._most = most
        self._room = ByteBudget(most_in_flight)
        self.timeout_s = timeout_s

    @asynccontextmanager
    async def reading(self, request: Request) -> AsyncIterator[bytes]:
        """Reads an image, and counts it as held until the block ends.

        Raises:
            ProblemError: It is empty, too large or too slow.
            ClientDisconnect: The client has gone.
        """
        async with self._room.hold(bodies.announced(request, self._most)):
            data = await bodies.read(request, self._most, self.timeout_s)
            if not data:
                raise invalid("body", "is empty", "IMAGE_EMPTY")
            yield data
