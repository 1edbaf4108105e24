"""Certificates for trying TLS on one machine: `python -m imagesearch_dev.certificates FOLDER`.

Makes an authority, once, and a certificate of it for each name, anew each time it is run, as
FOLDER/NAME/{tls.crt,tls.key,ca.crt}: the files of a Kubernetes TLS secret. For development and
tests: the authority's key lies beside them.
"""

import argparse
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("gateway", "embedder", "search", "web", "client")
HOSTS = ("localhost", "127.0.0.1", "::1")
AUTHORITY_DAYS = 3650
DAYS = 30


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates.

    Args:
        pair: Its own.
    """

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = load_pem_private_key(pair.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not one that is made here")
        self._key = key

    @classmethod
    def create(cls, name: str = "imagesearch development") -> "Authority":
        """Makes a new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        ends = timedelta(days=AUTHORITY_DAYS)
        certificate = (
            _builder(_named(name), _named(name), key, datetime.now(UTC), ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(_pair(certificate, key))

    def issue(
        self,
        name: str,
        hosts: Sequence[str] = HOSTS,
        *,
        begins: datetime | None = None,
        lasts: timedelta = timedelta(days=DAYS),
    ) -> Pair:
        """Makes a certificate, for servers and clients both.

        Args:
            name: First of its names.
            hosts: More names, and addresses.
            begins: When it becomes valid. None: now.
            lasts: How long it is valid.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(
                _named(name), self._certificate.subject, key, begins or datetime.now(UTC), lasts
            )
            .add_extension(x509.SubjectAlternativeName(list(map(_host, (name, *hosts)))), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
            )
            .sign(self._key, hashes.SHA256())
        )
        return _pair(certificate, key)


def write(folder: Path, pair: Pair, ca: bytes) -> None:
    """Writes a certificate, its key and the authority's certificate, each file whole or not."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "tls.crt", pair.certificate)
    replace_file(folder / "tls.key", pair.key, 0o600)
    replace_file(folder / "ca.crt", ca)


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Writes a file that readers see whole, as it was or as it is."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    os.replace(unfinished, path)


def authority_in(folder: Path) -> Authority:
    """The authority of a folder, made if there is none."""
    certificate, key = folder / "authority" / "ca.crt", folder / "authority" / "ca.key"
    if key.exists():
        return Authority(Pair(certificate.read_bytes(), key.read_bytes()))
    made = Authority.create()
    certificate.parent.mkdir(parents=True, exist_ok=True)
    replace_file(certificate, made.pair.certificate)
    replace_file(key, made.pair.key, 0o600)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes the certificates."""
    parser = argparse.ArgumentParser(
        prog="imagesearch_dev.certificates", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER")
    add("names", nargs="*", metavar="NAME", help=f"whom for; default: {' '.join(NAMES)}")
    add(
        *("--host", "-H"),
        action="append",
        default=[],
        help=f"name or address that each is for too, besides its own and {', '.join(HOSTS)}",
    )
    add("--days", type=float, default=DAYS, help="how long they are valid; default: %(default)s")
    given = parser.parse_args(arguments)
    authority = authority_in(given.folder)
    for name in given.names or NAMES:
        hosts = (*HOSTS, *given.host)
        pair = authority.issue(name, hosts, lasts=timedelta(days=given.days))
        write(given.folder / name, pair, authority.pair.certificate)
        print(given.folder / name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - timedelta(minutes=1))  # clocks differ
        .not_valid_after(begins + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


if __name__ == "__main__":
    main()
