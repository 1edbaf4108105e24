"""GetDiagnostics: how every part is set up and how it is, as the gateway sees it."""

import asyncio
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem
from google.rpc import code_pb2, status_pb2
from imagesearch.common.v1 import server_service_pb2 as server_pb
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.gateway.v1 import diagnostics_pb2 as pb

from gateway.clients.embedder import EMBEDDER, Embedder
from gateway.clients.search import SEARCH, Search
from gateway.settings import Settings
from gateway.store import ImageStore
from service_kit import deadlines
from service_kit.about import ServerServicer
from service_kit.errors import DeadlineError, RemoteBugError, ServiceError, UnavailableError

# No index can have this name.
_PROBES = "-doctor"
_CONTENT = b"written by GetDiagnostics"
_ASK_S = 30.0

T = TypeVar("T")


class Diagnosing:
    """Asks every part how it is.

    Args:
        settings: Of the gateway.
        embedder: Asked.
        search: Asked, of Elasticsearch too.
        store: Tried.
        service: Full name of the gateway's service.
    """

    def __init__(
        self,
        settings: Settings,
        embedder: Embedder,
        search: Search,
        store: ImageStore,
        service: str,
    ) -> None:
        self._settings = settings
        self._embedder = embedder
        self._search = search
        self._store = store
        self._itself = ServerServicer(settings, [service])

    async def get_diagnostics(self, request: pb.GetDiagnosticsRequest) -> pb.GetDiagnosticsResponse:
        """Asks all parts at the same time."""
        settings = self._settings
        embedder, search, models, cluster, store = await asyncio.gather(
            _backend(EMBEDDER, settings.embedder, self._embedder.server),
            _backend(SEARCH, settings.search, self._search.server),
            self._models(),
            self._cluster(),
            self._tried_store(request.write_to_store),
        )
        return pb.GetDiagnosticsResponse(
            gateway=self._itself.describe(),
            backends=[embedder, search],
            models=models,
            cluster=cluster,
            store=store,
            url_fetch=pb.UrlFetchDiagnostics(
                enabled=settings.allow_url_fetch,
                ports=settings.fetch_ports,
                allowed_networks=settings.fetch_allowed_networks,
            ),
            max_image_bytes=settings.max_image_bytes,
            max_image_pixels=settings.max_image_pixels,
            creates_indexes=settings.auto_create_index,
        )

    async def _models(self) -> list[pb.ModelDiagnostics]:
        with suppress(ServiceError, RemoteBugError):  # that it is away is told in `backends`
            return [_model(each) for each in await in_time(EMBEDDER, self._embedder.models())]
        return []

    async def _cluster(self) -> pb.ClusterDiagnostics:
        try:
            return pb.ClusterDiagnostics(cluster=await in_time(SEARCH, self._search.cluster()))
        except (ServiceError, RemoteBugError) as error:
            return pb.ClusterDiagnostics(error=_status(error))

    async def _tried_store(self, write: bool) -> pb.StoreDiagnostics:
        told = pb.StoreDiagnostics(
            url=_without_credentials(self._settings.store_url),
            free_bytes=await asyncio.to_thread(_free_bytes, self._settings.store_url),
        )
        try:
            if write:
                await in_time("the image store", self._write_and_read())
                told.written = True
            else:
                reading = self._store.load_note(_PROBES, "probes", "none")
                await in_time("the image store", reading)
        except ServiceError as error:
            told.error.CopyFrom(error.to_status())
        return told

    async def _write_and_read(self) -> None:
        name = uuid.uuid4().hex
        await self._store.save_note(_PROBES, "probes", name, _CONTENT)
        read = await self._store.load_note(_PROBES, "probes", name)
        await self._store.delete_note(_PROBES, "probes", name)
        if read != _CONTENT:
            raise UnavailableError("the image store does not give back what was written to it")


async def in_time(part: str, answer: Awaitable[T]) -> T:
    """Gives what a part answers, if it does so while there is still time to tell of it.

    Raises:
        DeadlineError: It did not.
    """
    try:
        async with asyncio.timeout(deadlines.share(_ASK_S)):
            return await answer
    except TimeoutError as error:
        raise DeadlineError(f"{part} does not answer in time") from error


async def _backend(
    name: str, address: str, ask: Callable[[], Awaitable[server_pb.GetServerResponse]]
) -> pb.BackendDiagnostics:
    told = pb.BackendDiagnostics(name=name, address=address)
    asked_at, began = time.time_ns(), time.perf_counter_ns()
    try:
        answer = await in_time(name, ask())
    except (ServiceError, RemoteBugError) as error:
        told.error.CopyFrom(_status(error))
        return told
    taken = time.perf_counter_ns() - began
    told.server.CopyFrom(answer.server)
    if answer.HasField("caller"):
        told.gateway.CopyFrom(answer.caller)
    told.round_trip.FromNanoseconds(taken)
    told.clock_ahead.FromNanoseconds(told.server.time.ToNanoseconds() - asked_at - taken // 2)
    return told


def _status(error: ServiceError | RemoteBugError) -> status_pb2.Status:
    """What went wrong, for operators: also that a service does not know this gateway."""
    if isinstance(error, ServiceError):
        return error.to_status()
    return status_pb2.Status(code=code_pb2.INTERNAL, message=str(error))


def _model(model: embedder_pb.Model) -> pb.ModelDiagnostics:
    return pb.ModelDiagnostics(
        name=model.name,
        space=model.space,
        dimensions=model.dimensions,
        takes_images=embedder_pb.MODALITY_IMAGE in model.modalities,
        takes_texts=embedder_pb.MODALITY_TEXT in model.modalities,
        device=model.device,
        arithmetic=f"{model.backend} {model.dtype}",
        cosine_to_float32=model.cosine_to_float32,
        max_image_bytes=model.limits.max_image_bytes,
        max_image_pixels=model.limits.max_image_pixels,
    )


def _without_credentials(url: str) -> str:
    """A URL without user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _free_bytes(url: str) -> int | None:
    """Room where a store is; None where that is not known: it is no folder, or not there yet."""
    files, root = fsspec.core.url_to_fs(url)
    if not isinstance(files, LocalFileSystem):
        return None
    folder = Path(root)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return None
