"""What the doctor hears at ports of all kinds: real sockets, certificates made here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imagesearch_doctor.checks.reaching import connections
from imagesearch_doctor.findings import Finding, Level
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import Access, Options
from service_kit.tls.client import ClientTls

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Certificate:
    """A certificate that signs itself.

    Attributes:
        pem: It.
        key: Its private key.
    """

    pem: bytes
    key: bytes

    def trusted(self, folder: Path, own: Certificate | None = None, name: str = "") -> Access:
        """Trusts this one, for a name, and comes with another one, if any."""
        valid = certificate("another.example").pem  # this one may not be: then none would be
        (folder / "ca.pem").write_bytes(self.pem + valid)
        if own is None:
            return Access(tls=ClientTls(folder / "ca.pem", name=name))
        (folder / "own.pem").write_bytes(own.pem)
        (folder / "own.key").write_bytes(own.key)
        return Access(
            tls=ClientTls(folder / "ca.pem", folder / "own.pem", folder / "own.key", name)
        )


def certificate(name: str = "localhost", begins: int = -10, ends: int = 100) -> Certificate:
    """Makes one for a DNS name, valid between two days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=begins))
        .not_valid_after(NOW + timedelta(days=ends))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


@asynccontextmanager
async def grpc_server(
    of: Certificate | None = None, clients: Certificate | None = None
) -> AsyncIterator[int]:
    """A gRPC server without services, encrypted with `of`; only clients of `clients` are taken."""
    server = grpc.aio.server()
    if of is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        credentials = grpc.ssl_server_credentials(
            [(of.key, of.pem)], clients.pem if clients else None, clients is not None
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@asynccontextmanager
async def socket_server(
    handler: Handler, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def heard(port: int, access: Access | None = None, timeout_s: float = 6.0) -> Finding:
    """What the doctor says of the connection to a port of this machine."""
    options = Options(f"localhost:{port}", access=access or Access(), timeout_s=timeout_s)
    async with System(options) as system:
        (finding,) = await connections(system)
    return finding


async def test_grpc_in_plain_text_is_known() -> None:
    async with grpc_server() as port:
        finding = await heard(port)

    assert finding.level is Level.OK
    assert "not encrypted" in finding.what


async def test_tls_where_plain_text_was_thought_is_known() -> None:
    async with grpc_server(certificate()) as port:
        finding = await heard(port)

    assert finding.level is Level.PROBLEM
    assert "speaks TLS, and the doctor plain text" in finding.what
    assert "--tls" in finding.advice


async def test_plain_text_where_tls_was_thought_is_known() -> None:
    async with grpc_server() as port:
        finding = await heard(port, Access(tls=ClientTls()))

    assert finding.level is Level.PROBLEM
    assert "speaks plain text, and the doctor TLS" in finding.what


async def test_a_trusted_certificate_is_well_and_its_end_is_told(tmp_path: Path) -> None:
    own = certificate()
    async with grpc_server(own) as port:
        finding = await heard(port, own.trusted(tmp_path))

    assert finding.level is Level.OK
    assert "valid until" in finding.what


@pytest.mark.parametrize(
    ("made", "level", "what"),
    [
        ({"ends": 3}, Level.WARNING, "ends in"),
        ({"ends": -1}, Level.PROBLEM, "expired"),
        ({"begins": 5}, Level.PROBLEM, "not yet valid"),
        ({"name": "elsewhere.example"}, Level.PROBLEM, "mismatch"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_named(
    tmp_path: Path, made: dict[str, Any], level: Level, what: str
) -> None:
    own = certificate(**made)
    async with grpc_server(own) as port:
        finding = await heard(port, own.trusted(tmp_path))

    assert finding.level is level
    assert what in finding.what
    assert finding.advice


async def test_a_certificate_of_an_unknown_authority_is_named() -> None:
    async with grpc_server(certificate()) as port:
        finding = await heard(port, Access(tls=ClientTls()))

    assert finding.level is Level.PROBLEM
    assert "self-signed" in finding.what
    assert "--tls-ca" in finding.advice


async def test_a_server_that_wants_a_certificate_is_known(tmp_path: Path) -> None:
    own, clients = certificate(), certificate("client")
    async with grpc_server(own, clients) as port:
        without = await heard(port, own.trusted(tmp_path))
        with_it = await heard(port, own.trusted(tmp_path, clients))

    assert "ends the connection after the handshake" in without.what
    assert "--tls-certificate" in without.advice
    assert with_it.level is Level.OK


async def test_a_certificate_for_another_name_is_taken_if_that_name_is_said(tmp_path: Path) -> None:
    own = certificate("gateway.example")
    async with grpc_server(own) as port:
        unsaid = await heard(port, own.trusted(tmp_path))
        said = await heard(port, own.trusted(tmp_path, name="gateway.example"))

    assert "--tls-name" in unsaid.advice
    assert said.level is Level.OK


async def test_a_web_server_is_known() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with socket_server(answer) as port:
        finding = await heard(port)

    assert finding.level is Level.PROBLEM
    assert "speaks HTTP/1 and no gRPC" in finding.what


async def test_tls_without_http2_is_known(tmp_path: Path) -> None:
    own = certificate()
    (tmp_path / "pem").write_bytes(own.pem)
    (tmp_path / "key").write_bytes(own.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem", tmp_path / "key")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    async with socket_server(answer, context) as port:
        finding = await heard(port, own.trusted(tmp_path))

    assert finding.level is Level.PROBLEM
    assert "without HTTP/2" in finding.what


async def test_a_port_that_says_nothing_is_known_in_time() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with socket_server(wait) as port:
        finding = await heard(port, timeout_s=1.5)

    assert finding.level is Level.PROBLEM
    assert "says nothing" in finding.what


async def test_a_port_that_nobody_listens_on_is_known(free_port: int) -> None:
    finding = await heard(free_port)

    assert finding.level is Level.PROBLEM
    assert "nobody listens" in finding.what
    assert "GATEWAY_LISTEN" in finding.advice


async def test_a_name_that_nobody_has_is_known() -> None:
    async with System(Options("no-such-host.invalid:50050", timeout_s=15)) as system:
        (finding,) = await connections(system)

    assert finding.level is Level.PROBLEM
    assert "no-such-host.invalid is not known" in finding.what
