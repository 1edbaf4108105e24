"""Exits with 0 if a server says SERVING: `python -m service_kit.check_health HOST:PORT [NAME]`."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_kit.tls.client import ClientTls, channel_credentials
from service_kit.tls.files import CertificateError, load

TIMEOUT_S = 3.0


def serving(address: str, name: str = "", tls: ClientTls | None = None) -> bool:
    """Whether the server at `address` says that `name` (empty: all of it) is SERVING.

    Raises:
        CertificateError: The files of `tls` cannot be used.
    """
    with _opened(address, tls) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _opened(address: str, tls: ClientTls | None) -> grpc.Channel:
    if tls is None:
        return grpc.insecure_channel(address)
    credentials = channel_credentials(load(tls.files, datetime.now(UTC)))
    return grpc.secure_channel(address, credentials, tls.options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Asks once; gives the exit status."""
    parser = argparse.ArgumentParser(prog="service_kit.check_health", description=__doc__)
    add = parser.add_argument
    add("address", metavar="HOST:PORT")
    add("name", nargs="?", default="", help='e.g. "liveness"; default: all of the server')
    add("--tls", action="store_true", help="encrypt; so does each of the next four")
    add("--tls-ca", type=Path, metavar="FILE", help="authorities of the server's certificate")
    add("--tls-certificate", type=Path, metavar="FILE", help="our own, if it asks for one")
    add("--tls-key", type=Path, metavar="FILE", help="its private key")
    add("--tls-name", default="", help="name in the server's certificate, if it is not the host")
    given = parser.parse_args(arguments)
    tls = ClientTls.wanted(
        given.tls, given.tls_ca, given.tls_certificate, given.tls_key, given.tls_name
    )
    try:
        return 0 if serving(given.address, given.name, tls) else 1
    except CertificateError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
