"""The wiring: the order of the text is the order of the start; the stop is its reverse."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
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
from gateway.duplicates.near_images import NearImages
from gateway.duplicates.reporting import Reporter
from gateway.duplicates.scans import Scans
from gateway.fetch import Fetcher
from gateway.indexing import Indexing
from gateway.levels import LevelMeter
from gateway.looking import TASKS
from gateway.metrics import Metrics
from gateway.pictures import Pictures
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
from image_kit.containment.decoders import open_decoders
from image_kit.decoding import ImageLimits
from image_kit.headers import pixels_of
from service_kit.budget import ByteBudget
from service_kit.call_metrics import CallMetrics
from service_kit.cores import physical_cores
from service_kit.metrics import new_registry, serving_metrics, watch_workers
from service_kit.probing import Probe
from service_kit.server import Endpoint, PixelLimit, StartError, serving, stop_signal
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
            used, the decoding processes do not come up, or the address cannot be bound.
    """
    limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels)
    timeouts = (settings.call_timeout_s, settings.image_timeout_s)
    registry = new_registry("gateway")
    metrics, calls = Metrics(registry), CallMetrics(registry, "client")
    async with AsyncExitStack() as stack:
        stack.enter_context(serving_metrics(settings.metrics_listen, registry))
        to_embedder, to_search = open_channels(settings, calls)
        embedder = Embedder(await stack.enter_async_context(to_embedder), *timeouts)
        search = Search(await stack.enter_async_context(to_search), *timeouts)
        threads = settings.prepare_threads or physical_cores()
        decoders = await stack.enter_async_context(
            open_decoders(
                settings.processes(threads),
                TASKS,
                limits,
                settings.bounds(limits.max_pixels),
                registry,
            )
        )
        pictures = Pictures(limits, decoders, settings.keep_metadata)
        preparers = await stack.enter_async_context(Workers("prepare", threads))
        provers = await stack.enter_async_context(
            Workers("prove", settings.proof_threads or physical_cores())
        )
        writers = await stack.enter_async_context(Workers("store", settings.store_threads))
        watch_workers(registry, preparers, provers, writers)
        store = _open_store(settings.store_url, writers, metrics)
        fetcher = None
        if settings.allow_url_fetch:
            fetcher = await stack.enter_async_context(
                Fetcher(
                    settings.fetch_timeout_s,
                    settings.max_image_bytes,
                    settings.fetch_ports,
                    settings.fetch_allowed_networks,
                    metrics,
                )
            )
        stopping = asyncio.Event()
        images = QueryImages(embedder, search, store, fetcher, preparers, pictures)
        meter = LevelMeter(embedder, preparers)
        stack.push_async_callback(meter.stop)
        prover = Prover(store, provers, pictures, settings.kept_features_bytes)
        version_queries = VersionQueries(embedder, search, store, images, preparers, pictures)
        versions = Versions(version_queries, Candidates(search), prover, search)
        duplicates = Duplicates(
            NearImages(search, store, preparers, pictures),
            prover,
            Scans(store, settings.scan_save_interval_s),
            Reporter(search),
            preparers,
            stopping,
        )
        servicer = ImageSearchServicer(
            SearchRpcs(ComposedSearch(embedder, search, images, meter, preparers), metrics),
            VersionRpcs(versions, duplicates),
            _classification(settings, embedder, search, images, preparers, stopping),
            StorageRpcs(
                embedder,
                search,
                store,
                Indexing(embedder, search, store, preparers, pictures, settings.auto_create_index),
                limits,
                ByteBudget(settings.max_in_flight_bytes),
                settings.max_in_flight,
                stopping,
                metrics,
                settings.max_idle_s,
            ),
            Diagnosing(settings, embedder, search, store, _NAME),
        )

        async def check() -> None:
            await embedder.check()
            await search.check()

        endpoint = Endpoint(
            _NAME, lambda to: pb_grpc.add_ImageSearchServiceServicer_to_server(servicer, to)
        )
        probe = Probe(check, timeout_s=5.0)
        pixels = PixelLimit(settings.max_request_pixels, partial(pixels_of, most=limits.max_pixels))
        async with serving(settings, [endpoint], probe, registry, pixels) as port:
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


def _open_store(url: str, workers: Workers, metrics: Metrics) -> ImageStore:
    try:
        return ImageStore(url, workers, metrics)
    except (ImportError, OSError, ValueError) as error:
        raise StartError(f"the image store {url} cannot be opened: {error}") from error
