"""Parties with certificates, and a server that says whose it sees."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool

from imagesearch_dev.certificates import Authority, write
from service_kit.server import Endpoint, serving
from service_kit.settings import ServerSettings
from service_kit.tls.client import ClientTls

SERVICE = "imagesearch.test.Mirror"
WHO = f"/{SERVICE}/Who"
EACH = f"/{SERVICE}/Each"


def _known() -> None:
    """Makes the service's contract known: every server tells of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="mirror.proto", package="imagesearch.test")
    file.message_type.add(name="Any")
    service = file.service.add(name="Mirror")
    anything = {"input_type": ".imagesearch.test.Any", "output_type": ".imagesearch.test.Any"}
    service.method.add(name="Who", **anything)
    service.method.add(name="Each", client_streaming=True, server_streaming=True, **anything)
    descriptor_pool.Default().Add(file)


_known()


class Party:
    """A server or client, and the folder of its certificate.

    Args:
        folder: Made if it is not there.
        authority: Issues the certificate.
        name: That the certificate is for.
    """

    def __init__(self, folder: Path, authority: Authority, name: str) -> None:
        self._folder = folder
        self.authority = authority
        self._trusted = [authority]
        self._name = name
        self.renew()

    @property
    def certificate(self) -> Path:
        return self._folder / "tls.crt"

    @property
    def key(self) -> Path:
        return self._folder / "tls.key"

    @property
    def ca(self) -> Path:
        return self._folder / "ca.crt"

    def renew(
        self,
        authority: Authority | None = None,
        trusted: Sequence[Authority] | None = None,
        **options: Any,
    ) -> bytes:
        """Writes another certificate; gives it.

        Args:
            authority: Issues it and those after it. None: who issued the last one.
            trusted: Authorities of others. None: as before.
            options: Of Authority.issue.
        """
        self.authority = authority or self.authority
        self._trusted = list(trusted or self._trusted)
        pair = self.authority.issue(self._name, **options)
        write(self._folder, pair, b"".join(each.pair.certificate for each in self._trusted))
        return pair.certificate

    def client(self, name: str = "") -> ClientTls:
        """Its TLS as a client."""
        return ClientTls(self.ca, self.certificate, self.key, name)

    def server(self, **more: Any) -> dict[str, Any]:
        """Its settings as a server that asks for certificates."""
        return {
            "tls_certificate_file": self.certificate,
            "tls_key_file": self.key,
            "tls_client_ca_file": self.ca,
            **more,
        }


@asynccontextmanager
async def mirror(**settings: Any) -> AsyncIterator[str]:
    """A server that answers with the caller's certificate, and streams with what they bring."""

    async def who(_request: bytes, context: Any) -> bytes:
        return b"".join(context.auth_context().get("x509_pem_cert", ())) or b"nobody"

    async def each(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    handlers = {
        "Who": grpc.unary_unary_rpc_method_handler(who),
        "Each": grpc.stream_stream_rpc_method_handler(each),
    }
    generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
    endpoint = Endpoint(SERVICE, lambda server: server.add_generic_rpc_handlers((generic,)))
    made = ServerSettings(listen="127.0.0.1:0", grace_s=1, **settings)
    async with serving(made, [endpoint]) as port:
        yield f"127.0.0.1:{port}"


async def served(address: str, client: Party | None = None, *, old: bool = False) -> bytes:
    """The certificate that a server shows to a new connection, PEM.

    Args:
        address: Of the server.
        client: Who connects.
        old: Offer TLS 1.1 alone.

    Raises:
        OSError: The handshake failed.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    if old:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(10):
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        try:
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        finally:
            writer.transport.abort()
    return ssl.DER_cert_to_PEM_cert(der).encode()
