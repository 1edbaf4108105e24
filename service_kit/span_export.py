"""Sends spans to a collector by OTLP, as the standard OTEL_* variables say."""

import os
import threading

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

_LAST_SPANS_S = 3.0
"""Longest that a stop waits for the last spans to be sent: the collector may be away."""


def begin(service: str) -> TracerProvider:
    """Makes the program's tracer provider.

    The sampler is OTEL_TRACES_SAMPLER's, the size of the queue and the like OTEL_BSP_*'s.

    Args:
        service: What the spans' service is called unless OTEL_SERVICE_NAME says.

    Raises:
        ImportError: The exporter for OTEL_EXPORTER_OTLP_PROTOCOL is not installed.
    """
    exporter = _exporter()
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service}
    # At the program's exit it would wait without our bound.
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def end(provider: TracerProvider) -> None:
    """Sends what is left, as far as that goes in a few seconds."""
    ending = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
    ending.start()
    ending.join(_LAST_SPANS_S)


def _exporter() -> SpanExporter:
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
    )
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
            OTLPSpanExporter as GrpcExporter,
        )

        return GrpcExporter()
    if protocol != "http/protobuf":
        raise ImportError(f"there is no exporter for the protocol {protocol}")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
