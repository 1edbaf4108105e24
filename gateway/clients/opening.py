"""Opens the channels to the other services, encrypted as the settings have it."""

from dataclasses import replace

import grpc

from gateway.clients.embedder import open_embedder
from gateway.clients.search import open_search
from gateway.settings import Settings
from service_kit.call_metrics import CallMetrics
from service_kit.server import StartError
from service_kit.tls.client import ClientTls
from service_kit.tls.files import CertificateError


def open_channels(
    settings: Settings, metrics: CallMetrics
) -> tuple[grpc.aio.Channel, grpc.aio.Channel]:
    """Opens those to embedder_service and to search_service. `metrics` counts their calls.

    Raises:
        StartError: The certificates cannot be used.
    """
    size = settings.max_message_bytes
    key = settings.backend_api_key.get_secret_value() if settings.backend_api_key else ""
    try:
        to_embedder = _tls(settings, settings.embedder_tls_name)
        to_search = _tls(settings, settings.search_tls_name)
        return (
            open_embedder(settings.embedder, size, key, to_embedder, metrics),
            open_search(settings.search, size, key, to_search, metrics),
        )
    except CertificateError as error:
        raise StartError(f"TLS to the other services: {error}") from error


def _tls(settings: Settings, name: str) -> ClientTls | None:
    """TLS to a service whose certificate has `name`; None: both are called in clear text."""
    wanted = ClientTls.wanted(
        settings.services_tls or bool(settings.embedder_tls_name or settings.search_tls_name),
        settings.services_tls_ca_file,
        settings.services_tls_certificate_file,
        settings.services_tls_key_file,
        name,
    )
    if wanted is None or wanted.certificate_file or wanted.key_file:
        return wanted
    own = settings.tls_certificate_file, settings.tls_key_file
    return replace(wanted, certificate_file=own[0], key_file=own[1])
