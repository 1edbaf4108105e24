"""What a client needs to know of TLS."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from service_kit.tls.files import CertificateFiles, Certificates


@dataclass(frozen=True)
class ClientTls:
    """An encrypted connection. Files that change are read again.

    Attributes:
        ca_file: Certificates of the authorities that the server's is checked against, PEM. None:
            the public ones that gRPC brings.
        certificate_file: Our own certificate, PEM, for servers that ask for one. None: none.
        key_file: Its private key.
        name: Name that the server's certificate must have. "": the host that is connected to.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    name: str = ""

    @classmethod
    def wanted(
        cls,
        tls: bool,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
        name: str = "",
    ) -> "ClientTls | None":
        """Gives what options ask for: TLS if `tls` does, or if any of the others is given."""
        asked = tls or ca_file or certificate_file or key_file or name
        return cls(ca_file, certificate_file, key_file, name) if asked else None

    @property
    def files(self) -> CertificateFiles:
        """The files together.

        Raises:
            CertificateError: A certificate is without its key, or a key without its certificate.
        """
        return CertificateFiles(self.certificate_file, self.key_file, self.ca_file)

    @property
    def options(self) -> list[tuple[str, str]]:
        """Of a gRPC channel."""
        return [("grpc.ssl_target_name_override", self.name)] if self.name else []


def channel_credentials(certificates: Certificates) -> grpc.ChannelCredentials:
    """Makes gRPC's credentials of certificates."""
    return grpc.ssl_channel_credentials(certificates.ca, certificates.key, certificates.chain)
