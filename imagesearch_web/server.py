"""The wiring: the order of the text is the order of the start; the stop is its reverse."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import structlog
import uvicorn
from starlette.types import ASGIApp

from image_kit.containment.decoders import open_decoders
from image_kit.decoding import ImageLimits
from imagesearch_web import https
from imagesearch_web.app import Parts, make_app
from imagesearch_web.classification import Classification
from imagesearch_web.description import Description
from imagesearch_web.drawing import TASKS
from imagesearch_web.gateway import Gateway, open_gateway
from imagesearch_web.images import Images
from imagesearch_web.query_images import QueryImages
from imagesearch_web.searching import Searching
from imagesearch_web.settings import Settings
from imagesearch_web.static_files import StaticFiles
from imagesearch_web.system import System
from imagesearch_web.thumbnails import Thumbnails
from imagesearch_web.uploads import Uploads
from imagesearch_web.versions import Versions
from service_kit.call_metrics import CallMetrics
from service_kit.cores import physical_cores
from service_kit.metrics import new_registry, serving_metrics, watch_workers
from service_kit.server import StartError, stop_signal
from service_kit.tls.client import ClientTls
from service_kit.tls.files import CertificateError, CertificateFiles
from service_kit.tls.metrics import watch_certificates
from service_kit.tls.watching import WatchedCertificates
from service_kit.workers import Workers

log = structlog.get_logger()

_HERE = Path(__file__).parent
_MESSAGE_ROOM = 12 * 1024 * 1024
_IDLE_STREAM_S = 300.0


async def serve(settings: Settings) -> None:
    """Serves until the process is told to stop."""
    async with running(settings):
        await stop_signal()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Runs the server; gives its port. The gateway may be away: /readyz then says so.

    Raises:
        StartError: The folder of query images cannot be made, the decoding processes do not come
            up, the address cannot be bound, or certificates not be used.
    """
    limits = ImageLimits(settings.max_upload_bytes, settings.max_image_pixels)
    stopping = asyncio.Event()
    registry = new_registry("imagesearch_web")
    async with AsyncExitStack() as stack:
        certificates = _certificates(settings)
        opened = await stack.enter_async_context(
            _open_gateway(settings, CallMetrics(registry, "client"))
        )
        key = settings.api_key.get_secret_value() if settings.api_key else ""
        gateway = Gateway(opened, settings.call_timeout_s, _IDLE_STREAM_S, key)
        threads = settings.threads or physical_cores()
        decoders = await stack.enter_async_context(
            open_decoders(
                settings.processes(threads),
                TASKS,
                limits,
                settings.bounds(limits.max_pixels),
                registry,
            )
        )
        pictures = Thumbnails(limits, decoders)
        preparers = await stack.enter_async_context(Workers("decode", threads))
        renderers = await stack.enter_async_context(Workers("render", 2))
        files = await stack.enter_async_context(Workers("files", 4))
        watch_workers(registry, preparers, renderers, files)
        kept = _query_images(settings, files)
        uploads = Uploads(
            settings.max_upload_bytes,
            settings.max_upload_bytes_in_flight,
            settings.upload_timeout_s,
        )
        index = settings.index
        parts = Parts(
            system=System(gateway, index),
            searching=Searching(gateway, kept, uploads, preparers, renderers, pictures, index),
            images=Images(gateway, uploads, preparers, pictures, index),
            versions=Versions(
                gateway,
                kept,
                index,
                settings.upload_timeout_s,
                settings.heartbeat_s,
                stopping,
            ),
            classification=Classification(gateway, kept, index, settings.upload_timeout_s),
            description=Description(),
            page=StaticFiles(_HERE / "static"),
            docs=StaticFiles(_HERE / "docs_page"),
        )
        if certificates is not None:
            watch_certificates(registry, certificates)
        context_factory = await stack.enter_async_context(https.watched(certificates))
        stack.enter_context(serving_metrics(settings.metrics_listen, registry))
        app = make_app(parts, settings, registry)
        async with _serving_http(app, settings, context_factory) as port:
            try:
                yield port
            finally:
                stopping.set()


@asynccontextmanager
async def _serving_http(
    app: ASGIApp, settings: Settings, context_factory: https.Factory | None
) -> AsyncIterator[int]:
    """Serves until the block ends, and then ends what runs within the time for it."""
    bound = _bind(settings.listen)
    port: int = bound.getsockname()[1]
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=max(1, round(settings.grace_s)),
            ssl_context_factory=context_factory,
        )
    )
    task = asyncio.create_task(server.serve([bound]))
    log.info("serving", address=settings.listen, port=port)
    try:
        yield port
    finally:
        log.info("draining", grace_s=settings.grace_s)
        server.should_exit = True
        await task
        log.info("stopped")


class _Server(uvicorn.Server):
    """Leaves signals to service_kit."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing."""
        yield


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=512)
    except (OSError, ValueError, OverflowError) as error:
        raise StartError(f"cannot listen on {listen}: {error}") from error


def _open_gateway(settings: Settings, metrics: CallMetrics) -> grpc.aio.Channel:
    try:
        tls = ClientTls.wanted(
            settings.gateway_tls,
            settings.gateway_tls_ca_file,
            settings.gateway_tls_certificate_file,
            settings.gateway_tls_key_file,
            settings.gateway_tls_name,
        )
        largest = settings.max_upload_bytes + _MESSAGE_ROOM
        return open_gateway(settings.gateway, largest, tls, metrics)
    except CertificateError as error:
        raise StartError(f"TLS to the gateway: {error}") from error


def _certificates(settings: Settings) -> WatchedCertificates | None:
    try:
        files = CertificateFiles(settings.tls_certificate_file, settings.tls_key_file)
        return WatchedCertificates(files) if files.certificate else None
    except CertificateError as error:
        raise StartError(str(error)) from error


def _query_images(settings: Settings, files: Workers) -> QueryImages:
    try:
        return QueryImages(
            settings.query_folder, settings.query_max_bytes, settings.query_max_age_s, files
        )
    except OSError as error:
        raise StartError(f"query images cannot be kept: {error}") from error
