"""When certificates expire, for Prometheus."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class CertificateExpiry(Collector):
    """When each certificate that is in use expires; those that do not are left out.

    Args:
        certificates: Say it when asked, by what the certificate is for, e.g. "server".
    """

    def __init__(self, certificates: Mapping[str, Callable[[], datetime | None]]) -> None:
        self._certificates = certificates

    def collect(self) -> Iterator[Metric]:
        """Gives the metric as it is now."""
        expiry = GaugeMetricFamily(
            "imagesearch_certificate_expiry_timestamp_seconds",
            "When the certificate expires, in seconds since 1970.",
            labels=("certificate",),
        )
        for name, expires in self._certificates.items():
            if (at := expires()) is not None:
                expiry.add_metric((name,), at.timestamp())
        yield expiry
