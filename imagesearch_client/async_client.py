"""The client for asyncio."""

from types import TracebackType
from typing import Any, Self

import grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from imagesearch_client.calls import Calls
from imagesearch_client.classification import Classification
from imagesearch_client.searches import Searches
from imagesearch_client.storage import Storage
from imagesearch_client.versions import Versions
from service_kit.client import channel
from service_kit.tls.client import ClientTls

DEFAULT_ADDRESS = "127.0.0.1:50050"

_SERVICE = pb.DESCRIPTOR.services_by_name["ImageSearchService"]

# All that are no streams: storing and deleting the same again changes nothing.
_IDEMPOTENT = [
    f"{_SERVICE.full_name}/{method.name}"
    for method in _SERVICE.methods
    if not method.client_streaming and not method.server_streaming
]


class AsyncClient(Searches, Versions, Classification, Storage):
    """Searches images, and stores them. All calls may run at the same time.

        async with AsyncClient() as client:
            found = await client.search_by_text("three green rings", k=3)

    Every call has a deadline. One that finds the server away is tried again a few times, one
    that is refused for overload when the server says; errors are ImageSearchErrors.

    Args:
        address: The gateway, as host:port or any gRPC name.
        timeout: Seconds that a call may take whose caller does not say.
        idle_timeout: Seconds that may pass between two messages of an answer that is a stream.
        tls: Encrypt the connection: True with the public certificate authorities, ClientTls with
            others and with a certificate of one's own, from files that are read again when they
            change; or credentials of gRPC.
        api_key: Sent with every call as "authorization: Bearer …". Without `tls` it travels in
            clear text.
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
        self._calls = Calls(
            timeout,
            idle_timeout,
            (("authorization", f"Bearer {api_key}"),) if api_key else (),
        )
        self._channel = channel(
            address,
            idempotent=_IDEMPOTENT,
            max_message_bytes=max_message_bytes,
            credentials=tls if isinstance(tls, grpc.ChannelCredentials) else None,
            tls=ClientTls() if tls is True else tls if isinstance(tls, ClientTls) else None,
        )
        stub: Any = pb_grpc.ImageSearchServiceStub(self._channel)
        self._stub = stub

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; calls that have no answer yet fail."""
        await self._channel.close()
