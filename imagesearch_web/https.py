"""HTTPS, with certificates that are read again when they change."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from service_kit.tls.serving import watch
from service_kit.tls.watching import WatchedCertificates

log = structlog.get_logger()

Factory = Callable[..., ssl.SSLContext]
"""Makes the context that uvicorn serves with."""


class RenewingContext:
    """Gives every connection the newest certificate.

    The context that uvicorn has only chooses another one in the handshake: one that was made whole,
    so that a certificate never meets another's key.

    Args:
        certificates: Ours.
    """

    def __init__(self, certificates: WatchedCertificates) -> None:
        self._certificates = certificates
        self._of = certificates.current()
        self._newest = self._made()

    def context(self) -> ssl.SSLContext:
        """Makes the context to serve with."""
        serving = self._made()
        serving.sni_callback = self._choose
        return serving

    def _choose(self, connection: ssl.SSLObject, *_: Any) -> None:
        newest = self._certificates.current()
        if newest is not self._of:
            try:
                self._newest, self._of = self._made(), newest
            except (OSError, ssl.SSLError) as error:  # changed again since: the next time then
                log.warning("certificates_not_changed", why=str(error))
        connection.context = self._newest

    def _made(self) -> ssl.SSLContext:
        files = self._certificates.files
        assert files.certificate is not None
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_cert_chain(files.certificate, files.key)
        return made


@asynccontextmanager
async def watched(certificates: WatchedCertificates | None) -> AsyncIterator[Factory | None]:
    """Looks at the files until the block ends; gives what makes uvicorn's context.

    Args:
        certificates: Ours. None: there are none, and HTTP is served.
    """
    if certificates is None:
        yield None
        return
    renewing = RenewingContext(certificates)
    task = asyncio.create_task(watch(certificates))
    try:
        yield lambda *_: renewing.context()
    finally:
        task.cancel()
