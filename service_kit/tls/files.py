"""Certificates in PEM files: read, and checked before they are used."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class CertificateError(Exception):
    """Certificates cannot be used; the message says which file, and why."""


@dataclass(frozen=True)
class CertificateFiles:
    """Where certificates are, all in PEM.

    Attributes:
        certificate: Our own; those between it and its authority's may follow. None: we have none.
        key: Its private key, not encrypted.
        ca: Certificates of the authorities that others' certificates are checked against. None:
            as the context has it.

    Raises:
        CertificateError: There is a certificate without a key, or a key without a certificate.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise CertificateError(
                f"the certificate {self.certificate} needs its private key"
                if self.key is None
                else f"the private key {self.key} needs its certificate"
            )

    def paths(self) -> list[Path]:
        """Those that there are."""
        return [path for path in (self.certificate, self.key, self.ca) if path is not None]


@dataclass(frozen=True)
class Certificates:
    """What was in the files.

    Attributes:
        chain: Our certificate, and those after it.
        key: Its private key.
        ca: The authorities' certificates.
        expires: When our certificate does, or, without one, the last of the authorities'. None:
            there are none.
    """

    chain: bytes | None
    key: bytes | None = field(repr=False)
    ca: bytes | None
    expires: datetime | None


def load(files: CertificateFiles, now: datetime) -> Certificates:
    """Reads the files.

    Args:
        files: Where they are.
        now: The time, with its zone, at which they must be valid.

    Raises:
        CertificateError: One cannot be read, is no PEM or not valid now, or the key is another
            certificate's.
    """
    chain = key = ca = expires = None
    if files.certificate is not None and files.key is not None:
        chain, key = _read(files.certificate), _read(files.key)
        own = _certificates(files.certificate, chain)[0]
        _check_valid(files.certificate, own, now)
        _check_key(files.key, key, files.certificate, own)
        expires = own.not_valid_after_utc
    if files.ca is not None:
        ca = _read(files.ca)
        last = _check_any_valid(files.ca, _certificates(files.ca, ca), now)
        expires = expires or last
    return Certificates(chain, key, ca, expires)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from error


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateError(f"{path} has no certificate in PEM, or a broken one") from error


def _check_valid(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    if now >= certificate.not_valid_after_utc:
        raise CertificateError(
            f"the certificate {path} expired at {certificate.not_valid_after_utc.isoformat()}"
        )
    if now < certificate.not_valid_before_utc:
        raise CertificateError(
            f"the certificate {path} is not valid before "
            f"{certificate.not_valid_before_utc.isoformat()}"
        )


def _check_any_valid(
    path: Path, certificates: Iterable[x509.Certificate], now: datetime
) -> datetime:
    """Gives when the last one expires. Old ones beside it are usual while authorities change."""
    ends = [
        certificate.not_valid_after_utc
        for certificate in certificates
        if certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
    ]
    if not ends:
        raise CertificateError(f"none of the authorities' certificates in {path} is valid now")
    return max(ends)


def _check_key(path: Path, pem: bytes, of: Path, certificate: x509.Certificate) -> None:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise CertificateError(f"the private key {path} is encrypted; it must not be") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} has no private key in PEM, or a broken one") from error
    if key.public_key() != certificate.public_key():
        raise CertificateError(f"the private key {path} is not that of the certificate {of}")
