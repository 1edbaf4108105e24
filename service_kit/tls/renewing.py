"""A channel that goes on with new certificates when their files change."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
import structlog

from service_kit.tls.client import channel_credentials
from service_kit.tls.watching import WatchedCertificates
from service_kit.wrapped_channel import WrappedChannel

log = structlog.get_logger()

_OLD_S = 3600.0
"""Longest that calls go on under certificates that are no longer the newest."""

_SLOW_S = 10.0
"""Seconds without a connection under new certificates after which a log line says so."""

_READY = grpc.ChannelConnectivity.READY


class RenewingChannel(WrappedChannel):
    """Makes its calls on a channel with the newest certificates; gRPC's own cannot change theirs.

    While the old connection works, calls stay with it until there is one with the new
    certificates: a server that does not take them yet loses us no call. Calls that run end where
    they began. The files are looked at when calls are made; without calls nothing is done.

    Args:
        certificates: Ours.
        open_channel: Opens a channel.

    Raises:
        CertificateError: The files cannot be used.
    """

    def __init__(
        self,
        certificates: WatchedCertificates,
        open_channel: Callable[[grpc.ChannelCredentials], grpc.aio.Channel],
    ) -> None:
        self._certificates = certificates
        self._open = open_channel
        self._newest = certificates.current()
        self._current = open_channel(channel_credentials(self._newest))
        self._next: grpc.aio.Channel | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._old: set[grpc.aio.Channel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def current(self) -> grpc.aio.Channel:
        """The channel for a call that is made now."""
        newest = self._certificates.current()
        if newest is not self._newest and not self._closed:
            self._newest = newest
            self._renew()
        if self._next is not None and self._current.get_state() is not _READY:
            self._switch()
        return self._current

    def _renew(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        if self._next is not None:
            self._retire(self._next)
        self._next = self._open(channel_credentials(self._newest))
        self._waiting = self._start(self._switch_when_ready(self._next))

    async def _switch_when_ready(self, following: grpc.aio.Channel) -> None:
        try:
            async with asyncio.timeout(_SLOW_S):
                await following.channel_ready()
        except TimeoutError:
            log.warning("no_connection_with_new_certificates", after_s=_SLOW_S)
            await following.channel_ready()  # until the old one breaks, or we are closed
        self._waiting = None
        self._switch()

    def _switch(self) -> None:
        assert self._next is not None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._retire(self._current)
        self._current, self._next = self._next, None

    def _retire(self, channel: grpc.aio.Channel) -> None:
        self._old.add(channel)
        self._start(self._close_when_idle(channel))

    async def _close_when_idle(self, channel: grpc.aio.Channel) -> None:
        await channel.close(_OLD_S)
        self._old.discard(channel)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def inside(self) -> grpc.aio.Channel:
        """See WrappedChannel."""
        return self._current

    def maker(self, kind: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """See WrappedChannel."""
        return _Method(self, kind, (method, *args), kwargs)

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; see grpc.aio.Channel."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        channels = [self._current, *self._old, *([] if self._next is None else [self._next])]
        await asyncio.gather(*(channel.close(grace) for channel in channels))


class _Method:
    """Makes the calls of one method, each on the channel of its time.

    Args:
        owner: Says which channel that is.
        kind: Of the method, as grpc.aio.Channel names it.
        args: What it is made with.
        kwargs: Likewise.
    """

    def __init__(
        self, owner: RenewingChannel, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._owner = owner
        self._kind = kind
        self._args = args
        self._kwargs = kwargs
        self._of: grpc.aio.Channel | None = None
        self._make: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Makes a call; see grpc.aio's multi-callables."""
        channel = self._owner.current()
        if channel is not self._of:
            self._make = getattr(channel, self._kind)(*self._args, **self._kwargs)
            self._of = channel
        return self._make(*args, **kwargs)
