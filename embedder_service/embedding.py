"""From one input to one vector: admission, preparation in a thread, the model's queue."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from embedder_service.batching import Batcher, Place
from embedder_service.errors import ComputeError
from embedder_service.preprocessing import ImageRecipe
from embedder_service.tokens import TextRecipe, Tokens
from image_kit.decoding import ImageError, ImageLimits
from service_kit import deadlines
from service_kit.errors import DeadlineError, ServiceError, StoppingError
from service_kit.workers import Workers

log = structlog.get_logger()

Vector = NDArray[np.float32]
"""(dimensions,), unit length."""

Pixels = NDArray[np.uint8]
"""(side, side, 3), RGB."""


@dataclass(frozen=True)
class ImageInput:
    """An encoded image.

    Attributes:
        data: The file.
        field: Where in the request it came, for errors.
    """

    data: bytes
    field: str


@dataclass(frozen=True)
class TextInput:
    """A text in any language."""

    text: str


@dataclass(frozen=True)
class RefusedInput:
    """An input that can never be embedded, and why."""

    error: ServiceError


Input = ImageInput | TextInput | RefusedInput

AnyPlace = Place[Any, Vector]


@dataclass(frozen=True)
class Embedded:
    """The vector of an input.

    Attributes:
        vector: (dimensions,), float32, unit length.
        truncated: The text was longer than the model reads.
    """

    vector: Vector
    truncated: bool = False


Outcome = Embedded | ServiceError
"""What became of one input."""


class Embedder:
    """Embeds the inputs of calls and of streams.

    Args:
        images: Queue of the image tower.
        texts: Queue of the text tower.
        image_recipe: Files to what `images` takes.
        text_recipe: Texts to what `texts` takes.
        limits: What an image must keep.
        decoders: Threads that decode images.
        tokenizers: Threads that split texts; apart, so that no text waits behind an image.
    """

    def __init__(
        self,
        images: Batcher[Pixels, Vector],
        texts: Batcher[Tokens, Vector],
        *,
        image_recipe: ImageRecipe,
        text_recipe: TextRecipe,
        limits: ImageLimits,
        decoders: Workers,
        tokenizers: Workers,
    ) -> None:
        self._images = images
        self._texts = texts
        self._image_recipe = image_recipe
        self._text_recipe = text_recipe
        self._limits = limits
        self._decoders = decoders
        self._tokenizers = tokenizers

    async def embed(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Embeds the inputs of one call. Cancelling it frees all their places.

        Returns:
            What became of each, in order.

        Raises:
            QueueFullError: There is not room for all of them; none was begun.
            StoppingError: The server stops.
            DeadlineError: The call's time was over before all were computed.
        """
        expires_at = time.monotonic() + deadlines.remaining(float("inf"))
        places = self._enter(inputs, expires_at)
        try:
            return await asyncio.gather(*map(self._one, inputs, places))
        finally:
            for place in places:
                if place is not None:
                    place.leave()

    async def room_for(self, item: Input) -> AnyPlace | None:
        """Waits for a place for an input of a stream; None if the input needs none.

        Raises:
            StoppingError: The server stops.
        """
        if isinstance(item, RefusedInput):
            return None
        return await self._queue(item).enter_bulk(self._size(item))

    async def embed_at(self, item: Input, place: AnyPlace | None) -> Outcome:
        """Embeds one input of a stream. The caller frees the place that `room_for` gave."""
        try:
            return await self._one(item, place)
        except ServiceError as error:
            return error

    async def check(self) -> None:
        """Tries a tower that failed on all it was given last.

        Raises:
            ServiceError: It fails still.
        """
        square = np.zeros((self._image_recipe.side, self._image_recipe.side, 3), np.uint8)
        if self._images.failing:
            await (await self._images.enter_bulk(square.nbytes)).result(square)
        if self._texts.failing:
            await (await self._texts.enter_bulk(0)).result(self._text_recipe.prepare("a"))

    def _enter(self, inputs: Sequence[Input], expires_at: float) -> list[AnyPlace | None]:
        """Takes a place for each input that needs one: all, or none."""
        taken: dict[type[Input], Iterator[AnyPlace]] = {}
        entered: list[AnyPlace] = []
        try:
            for kind in (ImageInput, TextInput):
                items = [item for item in inputs if isinstance(item, kind)]
                if items:
                    places = self._queue(items[0]).enter(list(map(self._size, items)), expires_at)
                    entered += places
                    taken[kind] = iter(places)
        except ServiceError:
            for place in entered:
                place.leave()
            raise
        return [None if isinstance(i, RefusedInput) else next(taken[type(i)]) for i in inputs]

    async def _one(self, item: Input, place: AnyPlace | None) -> Outcome:
        if isinstance(item, RefusedInput):
            return item.error
        assert place is not None
        try:
            if isinstance(item, TextInput):
                tokens = await self._tokenizers.run(self._text_recipe.prepare, item.text)
                return Embedded(await place.result(tokens), tokens.truncated)
            pixels = await self._decoders.run(self._image_recipe.prepare, item.data, self._limits)
            return Embedded(await place.result(pixels))
        except ImageError as error:
            return error.at(item.field) if isinstance(item, ImageInput) else error
        except (StoppingError, DeadlineError):  # not this input's own: the call's
            raise
        except ServiceError as error:
            return error
        except Exception:
            log.exception("preparing_failed")
            return ComputeError()

    def _queue(self, item: Input) -> Batcher[Any, Vector]:
        return self._images if isinstance(item, ImageInput) else self._texts

    def _size(self, item: Input) -> int:
        """Bytes that an input holds while it waits: as it came, then as it was prepared."""
        if isinstance(item, ImageInput):
            return len(item.data) + self._image_recipe.nbytes
        return len(item.text) * 4 if isinstance(item, TextInput) else 0
