"""The client for programs without asyncio."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from imagesearch_client.async_client import DEFAULT_ADDRESS, AsyncClient
from service_kit.tls.client import ClientTls

P = ParamSpec("P")
R = TypeVar("R")

_SENTINEL: Any = object()


def _call(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> "Callable[Concatenate[Client, P], R]":
    """The same call, waiting for its answer."""

    @wraps(method)
    def call(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait(method(self._client, *args, **kwargs))

    return call


def _stream(
    method: Callable[Concatenate[Any, P], AsyncGenerator[R]],
) -> "Callable[Concatenate[Client, P], Generator[R]]":
    """The same call, its answers as a plain iterator. Leaving the loop cancels it."""

    @wraps(method)
    def stream(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Generator[R]:
        async def begin() -> AsyncGenerator[R]:
            return method(self._client, *args, **kwargs)

        answers = self._wait(begin())
        try:
            while (answer := self._wait(anext(answers, _SENTINEL))) is not _SENTINEL:
                yield answer
        finally:
            self._wait(answers.aclose())

    return stream


class Client:
    """Searches images, and stores them. May be used from several threads at the same time.

        with Client() as client:
            found = client.search_by_text("three green rings", k=3)

    It is AsyncClient in a thread of its own: the same calls with the same arguments, and
    iterators where that has async iterators.

    Args:
        address: The gateway, as host:port or any gRPC name.
        timeout: Seconds that a call may take whose caller does not say.
        idle_timeout: Seconds that may pass between two messages of an answer that is a stream.
        tls: As of AsyncClient.
        api_key: As of AsyncClient.
        max_message_bytes: Largest message taken or sent.

    Raises:
        CertificateError: The files of `tls` cannot be used.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float = 30.0,
        idle_timeout: float = 300.0,
        tls: bool | ClientTls | grpc.ChannelCredentials = False,
        api_key: str = "",
        max_message_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="imagesearch-client", daemon=True
        )
        self._thread.start()

        async def connect() -> AsyncClient:  # in the thread whose loop the channel belongs to
            return AsyncClient(
                address,
                timeout=timeout,
                idle_timeout=idle_timeout,
                tls=tls,
                api_key=api_key,
                max_message_bytes=max_message_bytes,
            )

        try:
            self._client = self._wait(connect())
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; calls that have no answer yet fail. Closing again does nothing."""
        if self._loop.is_closed():
            return
        self._wait(self._client.close())
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, R]) -> R:
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("the client is closed")
        result = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return result.result()
        except BaseException:  # e.g. Ctrl-C: nobody waits for it any more
            result.cancel()
            raise

    search_by_image = _call(AsyncClient.search_by_image)
    search_by_text = _call(AsyncClient.search_by_text)
    search_images = _call(AsyncClient.search_images)
    find_versions = _call(AsyncClient.find_versions)
    find_source = _call(AsyncClient.find_source)
    find_duplicates = _stream(AsyncClient.find_duplicates)
    classify = _call(AsyncClient.classify)
    classify_batch = _stream(AsyncClient.classify_batch)
    identify = _call(AsyncClient.identify)
    list_label_sets = _call(AsyncClient.list_label_sets)
    get_label_set = _call(AsyncClient.get_label_set)
    index_images = _stream(AsyncClient.index_images)
    index_image = _call(AsyncClient.index_image)
    delete_images = _call(AsyncClient.delete_images)
    get_image = _call(AsyncClient.get_image)
    get_image_content = _call(AsyncClient.get_image_content)
    get_status = _call(AsyncClient.get_status)
    get_diagnostics = _call(AsyncClient.get_diagnostics)
    list_indexes = _call(AsyncClient.list_indexes)
