"""A channel whose every call brings a key."""

from typing import Any

import grpc

from service_kit.wrapped_channel import WrappedChannel


class KeyedChannel(WrappedChannel):
    """Sends a key with every call.

    No call credentials: they need TLS, which a sidecar may do.

    Args:
        opened: The channel to call by.
        api_key: The key, or a token.
    """

    def __init__(self, opened: grpc.aio.Channel, api_key: str) -> None:
        self._opened = opened
        self._headers = (("authorization", f"Bearer {api_key}"),)

    @property
    def inside(self) -> grpc.aio.Channel:
        """See WrappedChannel."""
        return self._opened

    def maker(self, kind: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """See WrappedChannel."""
        return _Keyed(getattr(self._opened, kind)(method, *args, **kwargs), self._headers)


class _Keyed:
    """A method of a stub, called with more headers."""

    def __init__(self, method: Any, headers: tuple[tuple[str, str], ...]) -> None:
        self._method = method
        self._headers = headers

    def __call__(self, *args: Any, metadata: Any = None, **kwargs: Any) -> Any:
        headers = (*(metadata or ()), *self._headers)
        return self._method(*args, metadata=headers, **kwargs)
