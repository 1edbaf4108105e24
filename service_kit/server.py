"""The life of a server: start, health, reflection, and a drain that loses no call."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import grpc
import structlog
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from imagesearch.common.v1 import server_service_pb2_grpc
from prometheus_client import CollectorRegistry

from service_kit import about, health_port, interceptors, metering, request_context, tracing
from service_kit.admission import Admission, Limits
from service_kit.admission_interceptor import AdmissionInterceptor
from service_kit.admission_metrics import watch_admission
from service_kit.draining import drain
from service_kit.health import LIVENESS
from service_kit.identity import entrance
from service_kit.identity.errors import IdentityError
from service_kit.identity.exposure import warn_if_open
from service_kit.identity.guard import Guard, open_guard
from service_kit.image_fields import PixelsOf
from service_kit.probing import HealthOf, Probe, watch
from service_kit.settings import ProcessSettings, ServerSettings
from service_kit.telemetry import configure_logging
from service_kit.tls.files import CertificateError
from service_kit.tls.metrics import watch_certificates
from service_kit.tls.serving import ServerTls

log = structlog.get_logger()

S = TypeVar("S", bound=ProcessSettings)


class StartError(Exception):
    """The service cannot start; its message tells the operator why."""


@dataclass(frozen=True)
class Endpoint:
    """A gRPC service to serve.

    Attributes:
        name: Full name of the service, e.g. "imagesearch.embedder.v1.EmbedderService".
        register: Adds its servicer to a server.
    """

    name: str
    register: Callable[[grpc.aio.Server], None]


@dataclass(frozen=True)
class PixelLimit:
    """Bounds the pixels of the images in the requests of all calls that are being answered.

    Attributes:
        most: So many. One request with more is taken alone.
        pixels_of: Counts those of one image.
    """

    most: int
    pixels_of: PixelsOf


@asynccontextmanager
async def serving(
    settings: ServerSettings,
    endpoints: Sequence[Endpoint],
    probe: Probe | None = None,
    registry: CollectorRegistry | None = None,
    pixels: PixelLimit | None = None,
) -> AsyncIterator[int]:
    """Serves until the block ends; gives the port.

    Then: health says NOT_SERVING, clients get a moment to go elsewhere, new calls are
    refused, running calls get the rest of `settings.grace_s` to end, what is left is cancelled.

    Calls that there is no room for are refused, but never health's. Of services that decode
    images, `pixels` bounds how much of that is asked for at a time.

    Health answers by name: "" and each endpoint say whether the work can be done
    (as `probe` finds), "liveness" that the process is up and takes calls.

    Calls and health are counted in `registry`; None: nowhere that is looked at.

    Raises:
        StartError: The address cannot be bound, the certificates not be used, or callers not be
            known.
    """
    registry = registry or CollectorRegistry()
    names = [endpoint.name for endpoint in endpoints]
    tls = _tls(settings)
    guard = _guard(settings)
    in_flight = interceptors.InFlight()
    around = (
        in_flight.around,
        request_context.around,
        *tracing.around(),
        interceptors.Logged().around,
        interceptors.statuses,
        metering.counting_errors(registry),
        *tls.arounds,
        *guard.arounds,
        interceptors.deadline(settings.max_call_s),
    )
    calls = interceptors.AroundInterceptor(around, metering.Metering(registry, names).wrap)
    admission = Admission(_limits(settings, pixels))
    watch_admission(registry, admission)
    taking = AdmissionInterceptor(admission, calls, pixels.pixels_of if pixels else None)
    server = grpc.aio.server(
        interceptors=entrance.interceptors(guard, taking, calls),
        options=_options(settings),
    )
    status = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    channelz.add_channelz_servicer(server)
    for endpoint in endpoints:
        endpoint.register(server)
    teller = about.ServerServicer(settings, names)
    server_service_pb2_grpc.add_ServerServiceServicer_to_server(teller, server)
    reflection.enable_server_reflection(
        (*names, about.NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    address = settings.listen
    probed: grpc.aio.Server | None = None
    try:
        port = tls.add_port(server, address)
        if address := settings.health_listen:
            probed = health_port.bind(address, status)
    except RuntimeError as error:
        raise StartError(f"cannot listen on {address}: is the port taken?") from error
    health_of = HealthOf(status, ["", *names], registry)
    await status.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
    await health_of.set(probe is None, "starting")
    await server.start()
    if tls.certificates is not None:
        watch_certificates(registry, tls.certificates)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(tls.watching())
        if probed is not None:
            await probed.start()
            stack.push_async_callback(probed.stop, 0)
        if probe is not None:
            watcher = asyncio.create_task(watch(probe, health_of))
            stack.callback(watcher.cancel)
        watching = asyncio.create_task(guard.watch())
        stack.callback(watching.cancel)
        protected = guard.is_on or settings.tls_client_ca_file is not None
        warn_if_open(settings.listen, protected)
        log.info("serving", address=settings.listen, port=port)
        try:
            yield port
        finally:
            log.info("draining", grace_s=settings.grace_s)
            await drain(server, status, in_flight, settings.grace_s)
            log.info("stopped")


def _tls(settings: ServerSettings) -> ServerTls:
    try:
        return ServerTls(
            settings.tls_certificate_file,
            settings.tls_key_file,
            settings.tls_client_ca_file,
            settings.tls_allowed_clients,
        )
    except CertificateError as error:
        raise StartError(str(error)) from error


def _guard(settings: ServerSettings) -> Guard:
    try:
        return open_guard(settings)
    except IdentityError as error:
        raise StartError(str(error)) from error


def _limits(settings: ServerSettings, pixels: PixelLimit | None) -> Limits:
    return Limits(
        calls=settings.max_calls,
        streams=settings.max_streams,
        request_bytes=settings.max_request_bytes,
        request_pixels=pixels.most if pixels else None,
        wait_s=settings.max_wait_s,
    )


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a surprise
        # Clients may ping every 10 s (ours do every 20 s); see service_kit.client.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Long streams go on on the old connection.
        ("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", 60 * 60_000),
    ]


async def stop_signal() -> None:
    """Waits for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def run(serve: Callable[[S], Awaitable[None]], settings: S, service: str) -> None:
    """Runs a service until it is told to stop.

    Exit status: 0 when stopped, 1 if it cannot start.
    """
    configure_logging(settings.log_level, settings.log_format, service)
    # What libraries made is there to stay: looking for garbage in it, every 700 objects, takes a
    # twentieth of a busy service's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    try:
        with tracing.exporting(service):
            asyncio.run(_main(serve, settings))
    except (StartError, tracing.TracingError) as error:
        log.error("cannot_start", why=str(error))
        sys.exit(1)


async def _main(serve: Callable[[S], Awaitable[None]], settings: S) -> None:
    await serve(settings)
