"""TLS of a gRPC server, with certificates that are read again when they change."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import structlog

from service_kit.tls import peers
from service_kit.tls.files import CertificateError, CertificateFiles, Certificates
from service_kit.tls.watching import LOOK_S, WatchedCertificates

if TYPE_CHECKING:
    from service_kit.interceptors import Around

log = structlog.get_logger()


class ServerTls:
    """How a server takes connections: encrypted if it has a certificate, else in clear text.

    Args:
        certificate: The server's own, PEM.
        key: Its private key.
        client_ca: Authorities of clients; given, a client must have a certificate of theirs.
        allowed_clients: Names, or patterns of them, of clients that may call. Empty: all that the
            authorities know.

    Raises:
        CertificateError: The files cannot be used, or one of them is missing.
    """

    def __init__(
        self,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        allowed_clients: Sequence[str] = (),
    ) -> None:
        if client_ca is not None and certificate is None:
            raise CertificateError("clients can only be asked for certificates by one who has one")
        if allowed_clients and client_ca is None:
            raise CertificateError("the names of clients can only be known with an authority")
        files = CertificateFiles(certificate, key, client_ca)
        self.certificates = None if certificate is None else WatchedCertificates(files)
        self.arounds: tuple[Around, ...] = (peers.only(allowed_clients),) if allowed_clients else ()

    def add_port(self, server: grpc.aio.Server, address: str) -> int:
        """Makes a server listen; gives the port.

        Raises:
            RuntimeError: The address cannot be bound.
        """
        if self.certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, server_credentials(self.certificates))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Looks at the files also while nobody connects, so that what is wrong is known at once."""
        if self.certificates is None:
            yield
            return
        log.info("tls", clients="certificates" if self.certificates.files.ca else "any")
        task = asyncio.create_task(watch(self.certificates))
        try:
            yield
        finally:
            task.cancel()


async def watch(certificates: WatchedCertificates) -> None:
    """Looks at the files again and again, until it is cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(certificates.current)


def server_credentials(certificates: WatchedCertificates) -> grpc.ServerCredentials:
    """Makes credentials that every new connection gets the newest certificates of."""
    used = certificates.current()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        newest = certificates.current()
        if newest is used:
            return None
        used = newest
        return _configuration(newest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(used),
        changed,  # type: ignore[arg-type] # None is for no change
        require_client_authentication=certificates.files.ca is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    assert certificates.chain is not None
    assert certificates.key is not None
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.chain)], certificates.ca
    )
