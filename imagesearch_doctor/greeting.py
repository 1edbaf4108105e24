"""Says hello to a port, to learn what is spoken there: gRPC itself would not say."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto

from service_kit.tls.client import ClientTls

# A client's beginning in HTTP/2 (RFC 9113, 3.4): the preface, then an empty SETTINGS frame.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_FRAME_HEADER = 9
_SETTINGS = 4
_TLS_ALERT = 0x15


class Speech(Enum):
    """What a port answered to a client's beginning in HTTP/2."""

    HTTP2 = auto()
    HTTP1 = auto()
    TLS = auto()
    NOTHING = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Handshake:
    """How TLS went.

    Attributes:
        certificate: What the server showed, as `ssl` gives it; None where it was not accepted.
        error: Why it failed; None where it did not.
        http2: Both agreed on HTTP/2.
        ended: The server ended the connection instead of saying something. In TLS 1.3 a client
            learns only so that its certificate, or that it has none, was not accepted.
    """

    certificate: dict[str, object] | None = None
    error: OSError | None = None
    http2: bool = False
    ended: bool = False


async def speech(address: tuple[str, int], timeout_s: float) -> Speech:
    """Asks in plain text what a port speaks.

    Raises:
        OSError: Nobody listens there, or it cannot be reached; TimeoutError: in time.
    """
    async with asyncio.timeout(timeout_s), _connected(address, None) as (reader, writer):
        said = b""
        with suppress(ConnectionError):
            writer.write(_PREFACE)
            await writer.drain()
            # One that waits for more says nothing: it gets half of the time.
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s / 2):
                    said = await _first(reader)
    return _understood(said)


async def _first(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readexactly(_FRAME_HEADER)
    except asyncio.IncompleteReadError as error:
        return error.partial


def _understood(said: bytes) -> Speech:
    if not said:
        return Speech.NOTHING
    if said.startswith(b"HTTP/1"):
        return Speech.HTTP1
    if said[0] == _TLS_ALERT:
        return Speech.TLS
    if len(said) == _FRAME_HEADER and said[3] == _SETTINGS:
        return Speech.HTTP2
    return Speech.OTHER


async def handshake(
    address: tuple[str, int], tls: ClientTls, host: str, timeout_s: float
) -> Handshake:
    """Does a handshake of TLS as gRPC would, and waits for the server's first word.

    Args:
        address: Resolved.
        tls: What is trusted, and with what we come.
        host: The name that the certificate must have, if `tls` names no other.
        timeout_s: Longest for all.

    Raises:
        OSError: A file of `tls` cannot be used.
    """
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.certificate_file is not None:
        context.load_cert_chain(tls.certificate_file, tls.key_file)
    context.set_alpn_protocols(["h2"])
    return await _shaken(address, context, tls.name or host, timeout_s)


async def _shaken(
    address: tuple[str, int], context: ssl.SSLContext, host: str, timeout_s: float
) -> Handshake:
    try:
        async with asyncio.timeout(timeout_s), _connected(address, context, host) as streams:
            reader, writer = streams
            shaken = writer.get_extra_info("ssl_object")
            ended = False
            try:
                writer.write(_PREFACE)
                await writer.drain()
                await reader.readexactly(_FRAME_HEADER)
            except TimeoutError:
                raise
            except (OSError, asyncio.IncompleteReadError):
                ended = True
            http2 = shaken.selected_alpn_protocol() == "h2"
            return Handshake(shaken.getpeercert(), http2=http2, ended=ended)
    except OSError as error:  # ssl.SSLError and TimeoutError among them
        return Handshake(error=error)


async def speaks_tls(address: tuple[str, int], timeout_s: float) -> bool:
    """Whether a port does a handshake with a client that trusts everybody and sends nothing."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    anybody.set_alpn_protocols(["h2"])
    return (await _shaken(address, anybody, address[0], timeout_s)).error is None


@asynccontextmanager
async def _connected(
    address: tuple[str, int], context: ssl.SSLContext | None, host: str = ""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        *address, ssl=context, server_hostname=host if context else None
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
