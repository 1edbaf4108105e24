"""A channel that makes its calls by another one; what it adds to them is its subclasses'."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

import grpc


class WrappedChannel(grpc.aio.Channel, ABC):
    """Leaves all to the channel inside but how the calls of a method are made.

    No interceptors: those of grpc.aio make a task and a call object of their own of every call, and
    stand between a stream and its messages.
    """

    @property
    @abstractmethod
    def inside(self) -> grpc.aio.Channel:
        """The channel that makes the calls now."""

    @abstractmethod
    def maker(self, kind: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method.

        Args:
            kind: Of the method, as grpc.aio.Channel names it, e.g. "unary_stream".
            method: Its full name.
            args: What else it is made with.
            kwargs: Likewise.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; see grpc.aio.Channel."""
        await self.inside.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Says how the connection is; see grpc.aio.Channel."""
        return self.inside.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the connection is otherwise; see grpc.aio.Channel."""
        await self.inside.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits for a connection; see grpc.aio.Channel."""
        await self.inside.channel_ready()

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method; see grpc.aio.Channel."""
        return self.maker("unary_unary", method, *args, **kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method; see grpc.aio.Channel."""
        return self.maker("unary_stream", method, *args, **kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method; see grpc.aio.Channel."""
        return self.maker("stream_unary", method, *args, **kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Makes what makes the calls of a method; see grpc.aio.Channel."""
        return self.maker("stream_stream", method, *args, **kwargs)
