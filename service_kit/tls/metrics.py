"""Prometheus metrics of certificates."""

from prometheus_client import CollectorRegistry, Gauge

from service_kit.tls.watching import WatchedCertificates


def watch_certificates(registry: CollectorRegistry, certificates: WatchedCertificates) -> None:
    """Tells when the certificate that is used expires, and whether its files can be used."""
    expiry = Gauge(
        "imagesearch_certificate_expiry_timestamp_seconds",
        "When the certificate that is served expires, in seconds since 1970.",
        registry=registry,
    )
    expiry.set_function(lambda: certificates.expires.timestamp() if certificates.expires else 0.0)
    failing = Gauge(
        "imagesearch_certificate_files_unusable",
        "1 while the files have changed and cannot be used: an older certificate is served.",
        registry=registry,
    )
    failing.set_function(lambda: float(bool(certificates.problem)))
