"""The wiring: the order of the text is the order of the start; the stop is its reverse."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

from gateway.candidates import Candidates
from gateway.classification.classifiers import Classifiers
from gateway.classification.label_sets import LabelSet, LabelSetFileError
from gateway.classification.label_sets import load as load_label_sets
from gateway.classification.neighbors import Neighbors
from gateway.classification.tagging import Tagging
from gateway.classification_rpcs import ClassificationRpcs
from gateway.clients.embedder import Embedder
from gateway.clients.opening import open_channels
from gateway.clients.search import Search
from gateway.composed_search import ComposedSearch
from gateway.diagnosing import Diagnosing
from gateway.duplicates.finding import Duplicates
from gateway.duplicates.neighbours import Neighbours
from gateway.duplicates.reporting import Reporter
from gateway.duplicates.scans import Scans
from gateway.fetch import Fetcher
from gateway.indexing import Indexing
from gateway.levels import LevelMeter
from gateway.proving import Prover
from gateway.query_images import QueryImages
from gateway.search_rpcs import SearchRpcs
from gateway.servicer import ImageSearchServicer
from gateway.settings import Settings
from gateway.storage_rpcs import StorageRpcs
from gateway.store import ImageStore
from gateway.version_queries import VersionQueries
from gateway.version_rpcs import VersionRpcs
from gateway.versions import Versions
from image_kit.decoding import ImageLimits
from service_kit.budget import ByteBudget
from service_kit.cores import physical_cores
from service_kit.server import Endpoint, Probe, StartError, serving, stop_signal
from service_kit.workers import Workers

_NAME = pb.DESCRIPTOR.services_by_name["ImageSearchService"].full_name


async def serve(settings: Settings) -> None:
    """Serves until the process is told to stop."""
    async with running(settings):
        await stop_signal()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Runs the service; gives its port. The others may be away: health then says so.

    Raises:
        StartError: The image store cannot be opened, a label set is wrong, certificates cannot be
            used, or the address cannot be bound.
    """
    limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels)
    timeouts = (settings.call_timeout_s, settings.image_timeout_s)
    async with AsyncExitStack() as stack:
        to_embedder, to_search = open_channels(settings)
        embedder = Embedder(await stack.enter_async_context(to_embedder), *timeouts)
        search = Search(await stack.enter_async_context(to_search), *timeouts)
        preparers = await stack.enter_async_context(
            Workers("prepare", settings.prepare_threads or physical_cores())
        )
        provers = await stack.enter_async_context(
            Workers("prove", settings.proof_threads or physical_cores())
        )
        writers = await stack.enter_async_context(Workers("store", settings.store_threads))
        store = _open_store(settings.store_url, writers)
        fetcher = None
        if settings.allow_url_fetch:
            fetcher = await stack.enter_async_context(
                Fetcher(
                    settings.fetch_timeout_s,
                    settings.max_image_bytes,
                    settings.fetch_ports,
                    settings.fetch_allowed_networks,
                )
            )
        stopping = asyncio.Event()
        images = QueryImages(embedder, search, store, fetcher, preparers, limits)
        meter = LevelMeter(embedder, preparers)
        stack.push_async_callback(meter.stop)
        prover = Prover(store, provers, limits, settings.kept_features_bytes)
        version_queries = VersionQueries(embedder, search, store, images, preparers, limits)
        versions = Versions(version_queries, Candidates(search), prover, search)
        duplicates = Duplicates(
            Neighbours(search, store, preparers),
            prover,
            Scans(store, settings.scan_save_interval_s),
            Reporter(search),
            preparers,
            stopping,
        )
        servicer = ImageSearchServicer(
            SearchRpcs(ComposedSearch(embedder, search, images, meter, preparers)),
            VersionRpcs(versions, duplicates),
            _classification(settings, embedder, search, images, preparers, stopping),
            StorageRpcs(
                embedder,
                search,
                store,
                Indexing(embedder, search, store, preparers, limits, settings.auto_create_index),
                limits,
                ByteBudget(settings.max_in_flight_bytes),
                settings.max_in_flight,
                stopping,
            ),
            Diagnosing(settings, embedder, search, store, _NAME),
        )

        async def check() -> None:
            await embedder.check()
            await search.check()

        endpoint = Endpoint(
            _NAME, lambda to: pb_grpc.add_ImageSearchServiceServicer_to_server(servicer, to)
        )
        async with serving(settings, [endpoint], Probe(check, timeout_s=5.0)) as port:
            try:
                yield port
            finally:
                stopping.set()


def _classification(
    settings: Settings,
    embedder: Embedder,
    search: Search,
    images: QueryImages,
    workers: Workers,
    stopping: asyncio.Event,
) -> ClassificationRpcs:
    classifiers = Classifiers(
        embedder, workers, settings.label_cache_bytes, settings.unknown_least_share
    )
    tagging = Tagging(search, classifiers, workers, stopping)
    label_sets = _load_label_sets(settings.label_sets)
    return ClassificationRpcs(images, classifiers, Neighbors(search), tagging, label_sets, workers)


def _load_label_sets(folder: str) -> Mapping[str, LabelSet]:
    try:
        return load_label_sets(Path(folder) if folder else None)
    except LabelSetFileError as error:
        raise StartError(f"label sets: {error}") from error


def _open_store(url: str, workers: Workers) -> ImageStore:
    try:
        return ImageStore(url, workers)
    except (ImportError, OSError, ValueError) as error:
        raise StartError(f"the image store {url} cannot be opened: {error}") from error
