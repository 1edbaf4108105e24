"""A channel whose every call brings a key."""

from types import TracebackType
from typing import Any, Self

import grpc


class KeyedChannel(grpc.aio.Channel):
    """Sends a key with every call.

    No interceptor: those of grpc.aio make a task of every call, and stand between a stream and
    its messages. No call credentials either: they need TLS, which a sidecar may do.

    Args:
        opened: The channel to call by.
        api_key: The key, or a token.
    """

    def __init__(self, opened: grpc.aio.Channel, api_key: str) -> None:
        self._opened = opened
        self._headers = (("authorization", f"Bearer {api_key}"),)

    async def __aenter__(self) -> Self:
        await self._opened.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._opened.__aexit__(exc_type, exc_val, exc_tb)

    async def close(self, grace: float | None = None) -> None:
        """See grpc.aio.Channel."""
        await self._opened.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """See grpc.aio.Channel."""
        return self._opened.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """See grpc.aio.Channel."""
        await self._opened.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """See grpc.aio.Channel."""
        await self._opened.channel_ready()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Keyed(self._opened.unary_unary(*args, **kwargs), self._headers)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Keyed(self._opened.unary_stream(*args, **kwargs), self._headers)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Keyed(self._opened.stream_unary(*args, **kwargs), self._headers)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Keyed(self._opened.stream_stream(*args, **kwargs), self._headers)


class _Keyed:
    """A method of a stub, called with more headers."""

    def __init__(self, method: Any, headers: tuple[tuple[str, str], ...]) -> None:
        self._method = method
        self._headers = headers

    def __call__(self, *args: Any, metadata: Any = None, **kwargs: Any) -> Any:
        headers = (*(metadata or ()), *self._headers)
        return self._method(*args, metadata=headers, **kwargs)
