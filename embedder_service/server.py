"""The wiring: the order of the text is the order of the start; the stop is its reverse."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeVar

import torch
from imagesearch.embedder.v1 import embedder_service_pb2 as pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as pb_grpc
from prometheus_client import CollectorRegistry

from embedder_service.batching import Batcher
from embedder_service.cache import VectorCache
from embedder_service.computing import Computer
from embedder_service.device_metrics import DeviceCollector
from embedder_service.devices import find_devices
from embedder_service.embedding import Embedder, image_intake, text_intake
from embedder_service.intake import Vector
from embedder_service.loading import load
from embedder_service.metrics import StatisticsCollector
from embedder_service.model import ClipModel
from embedder_service.servicer import EmbedderServicer
from embedder_service.settings import Settings
from embedder_service.shrinking import shrink
from embedder_service.wire import Bounds
from image_kit.containment.decoders import Decoders, open_decoders
from image_kit.decoding import ImageLimits
from image_kit.headers import pixels_of
from service_kit.cores import physical_cores
from service_kit.metrics import new_registry, serving_metrics, watch_workers
from service_kit.probing import Probe
from service_kit.server import Endpoint, PixelLimit, serving, stop_signal
from service_kit.workers import Workers

T = TypeVar("T")

_NAME = pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name

# The part of the grace after which what waits is refused: the refusals still have to arrive.
_REFUSE_AFTER = 0.9


async def serve(settings: Settings) -> None:
    """Serves until the process is told to stop."""
    async with running(settings):
        await stop_signal()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Runs the service; gives its port.

    Raises:
        StartError: A model cannot be used, or the address cannot be bound.
    """
    devices = await asyncio.to_thread(find_devices, settings.device)
    models = await asyncio.to_thread(load, settings, devices)
    gc.collect()
    gc.freeze()  # looking through the libraries' objects again would stop all calls for 0.3 s
    async with AsyncExitStack() as stack:
        stack.callback(gc.unfreeze)
        registry = new_registry("embedder_service")
        builder = await _Builder.enter(stack, settings, devices, registry)
        embedders = [await builder.embedder(model) for model in models]
        bounds = Bounds(
            image=builder.image_limits,
            max_inputs=settings.max_inputs,
            max_text_bytes=settings.max_text_bytes,
            max_queue=settings.max_queue,
        )
        registry.register(StatisticsCollector(embedders))
        registry.register(DeviceCollector(devices))
        watch_workers(registry, builder.preparers, builder.tokenizers)
        stack.enter_context(serving_metrics(settings.metrics_listen, registry))
        stopping = asyncio.Event()
        pairs = list(zip(models, embedders, strict=True))
        servicer = EmbedderServicer(pairs, bounds, stopping, settings.max_idle_s)

        async def check() -> None:
            for embedder in embedders:
                await embedder.check()

        endpoint = Endpoint(
            _NAME, lambda to: pb_grpc.add_EmbedderServiceServicer_to_server(servicer, to)
        )
        probe = Probe(check, timeout_s=30)
        pixels = PixelLimit(
            settings.max_request_pixels, partial(pixels_of, most=settings.max_image_pixels)
        )
        async with serving(settings, [endpoint], probe, registry, pixels) as port:
            try:
                yield port
            finally:
                stopping.set()
                for embedder in embedders:
                    embedder.stop_after(settings.grace_s * _REFUSE_AFTER)


class _Builder:
    """Makes the embedder of each model, on threads that all models share."""

    def __init__(
        self,
        stack: AsyncExitStack,
        settings: Settings,
        threads: dict[str, list[Executor]],
        decoders: Decoders,
        preparers: Workers,
        tokenizers: Workers,
        limits: ImageLimits,
        *,
        ahead: bool,
    ) -> None:
        self._stack = stack
        self._settings = settings
        self._threads = threads
        self._decoders = decoders
        self.preparers = preparers
        self.tokenizers = tokenizers
        self._ahead = ahead
        self.cache = VectorCache(settings.cache_bytes)
        self.image_limits = limits

    @classmethod
    async def enter(
        cls,
        stack: AsyncExitStack,
        settings: Settings,
        devices: Sequence[torch.device],
        registry: CollectorRegistry,
    ) -> "_Builder":
        """Starts the threads and the decoding processes; `stack` ends them.

        Raises:
            StartError: The processes do not come up.
        """
        on_gpu = devices[0].type != "cpu"

        def thread(name: str) -> Executor:
            return stack.enter_context(ThreadPoolExecutor(1, name))

        images = [thread(f"images-{device}") for device in devices]
        # On a GPU one thread feeds both towers: its work is queued there anyway, and two threads
        # would fight for the interpreter. On a processor each has its own, so that a text of
        # milliseconds does not wait for a batch of images of a second.
        texts = images if on_gpu else [thread(f"texts-{device}") for device in devices]
        threads = settings.decode_threads or physical_cores()
        limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels)
        bounds = settings.bounds(limits.max_pixels)
        return cls(
            stack,
            settings,
            {"images": images, "texts": texts},
            await stack.enter_async_context(
                open_decoders(settings.processes(threads), [shrink], limits, bounds, registry)
            ),
            await stack.enter_async_context(Workers("decode", threads)),
            await stack.enter_async_context(Workers("tokenize", 1)),
            limits,
            ahead=on_gpu,
        )

    async def embedder(self, model: ClipModel) -> Embedder:
        """Makes the embedder of a model; the stack stops its queues."""
        images = await self._queue(
            model.images.model,
            [tower.encode for tower in model.images.towers],
            self._threads["images"],
            model.images.max_batch,
        )
        texts = await self._queue(
            model.texts.model,
            [tower.encode for tower in model.texts.towers],
            self._threads["texts"],
            model.texts.max_batch,
        )
        image_recipe, text_recipe = model.images.towers[0].recipe, model.texts.towers[0].recipe
        return Embedder(
            model.space,
            image_intake(
                model.images.model,
                images,
                image_recipe,
                self.image_limits,
                self._decoders,
                self.preparers,
                self.cache,
            ),
            text_intake(model.texts.model, texts, text_recipe, self.tokenizers, self.cache),
            image_recipe.nbytes,
        )

    async def _queue(
        self,
        name: str,
        computes: Sequence[Callable[[list[T]], Iterable[Vector]]],
        threads: Sequence[Executor],
        max_batch: int,
    ) -> Batcher[T, Vector]:
        pairs = zip(computes, threads, strict=True)
        return await self._stack.enter_async_context(
            Batcher(
                name,
                [Computer(name, compute, thread) for compute, thread in pairs],
                max_batch=max_batch,
                max_queue=self._settings.max_queue,
                max_bytes=self._settings.max_queue_bytes,
                ahead=self._ahead,
            )
        )
