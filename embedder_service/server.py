"""The wiring: the order of the text is the order of the start; the stop is its reverse."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from imagesearch.embedder.v1 import embedder_service_pb2 as pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as pb_grpc

from embedder_service.batching import Batcher
from embedder_service.embedding import Embedder, Vector
from embedder_service.loading import load
from embedder_service.servicer import EmbedderServicer
from embedder_service.settings import Settings
from embedder_service.wire import Bounds
from image_kit.decoding import ImageLimits
from service_kit.cores import physical_cores
from service_kit.server import Endpoint, Probe, serving, stop_signal
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
    model = await asyncio.to_thread(load, settings)
    bounds = _bounds(settings, model.on_gpu)

    def batcher(
        name: str, compute: Callable[[list[T]], Iterable[Vector]], thread: Executor
    ) -> Batcher[T, Vector]:
        return Batcher(
            name,
            compute,
            thread,
            max_batch=bounds.max_batch,
            max_queue=bounds.max_queue,
            max_bytes=settings.max_queue_bytes,
        )

    with ThreadPoolExecutor(1, "images") as thread, ThreadPoolExecutor(1, "texts") as other:
        # On a GPU one thread feeds both towers: its work is queued there anyway, and two threads
        # would fight for the interpreter. On a processor each has its own, so that a text of
        # milliseconds does not wait for a batch of images of a second.
        text_thread = thread if model.on_gpu else other
        async with (
            Workers("decode", settings.decode_threads or physical_cores()) as decoders,
            Workers("tokenize", 1) as tokenizers,
            batcher("images", model.images.encode, thread) as images,
            batcher("texts", model.texts.encode, text_thread) as texts,
        ):
            embedder = Embedder(
                images,
                texts,
                image_recipe=model.images.recipe,
                text_recipe=model.texts.recipe,
                limits=bounds.image,
                decoders=decoders,
                tokenizers=tokenizers,
            )
            stopping = asyncio.Event()
            servicer = EmbedderServicer(embedder, model.infos, bounds, stopping)
            endpoint = Endpoint(
                _NAME, lambda to: pb_grpc.add_EmbedderServiceServicer_to_server(servicer, to)
            )
            async with serving(settings, [endpoint], Probe(embedder.check, timeout_s=30)) as port:
                try:
                    yield port
                finally:
                    stopping.set()
                    for queue in (images, texts):
                        queue.stop_after(settings.grace_s * _REFUSE_AFTER)


def _bounds(settings: Settings, on_gpu: bool) -> Bounds:
    return Bounds(
        image=ImageLimits(settings.max_image_bytes, settings.max_image_pixels),
        max_inputs=settings.max_inputs,
        max_text_bytes=settings.max_text_bytes,
        max_batch=settings.max_batch or (64 if on_gpu else 8),
        max_queue=settings.max_queue,
    )
