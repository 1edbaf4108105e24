"""From the inputs of a call or a stream to vectors: admission, and one outcome an input."""

import asyncio
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedder_service.batching import Batcher
from embedder_service.cache import VectorCache
from embedder_service.intake import Embedded, Intake, Prepared, Vector
from embedder_service.place import Place
from embedder_service.preprocessing import ImageRecipe
from embedder_service.tokens import TextRecipe, Tokens
from image_kit.containment.decoders import Decoders
from image_kit.decoding import ImageError, ImageLimits
from service_kit import deadlines
from service_kit.errors import DeadlineError, ServiceError, StoppingError
from service_kit.workers import Workers

# Bytes of a text that is split into tokens in less than 0.1 ms.
_SHORT_TEXT = 256

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
    """An input that can never be embedded.

    Attributes:
        error: Why.
        kind: What it would have been; None if it is not even known that.
    """

    error: ServiceError
    kind: type[ImageInput] | type[TextInput] | None = None


Input = ImageInput | TextInput | RefusedInput

AnyPlace = Place[Any, Vector]

Outcome = Embedded | ServiceError
"""What became of one input."""


class Embedder:
    """Embeds the inputs of calls and of streams with one model's two towers.

    Args:
        space: Of the vectors.
        images: The image tower.
        texts: The text tower.
        image_bytes: What a prepared image holds in memory.
    """

    def __init__(
        self, space: str, images: Intake[Pixels], texts: Intake[Tokens], image_bytes: int
    ) -> None:
        self.space = space
        self.images = images
        self.texts = texts
        self._image_bytes = image_bytes

    async def embed(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Embeds the inputs of one call. Cancelling it frees all their places.

        Returns:
            What became of each, in order.

        Raises:
            QueueFullError: There is not room for all of them; none was begun.
            StoppingError: The server stops.
            DeadlineError: The call's time was over before all were computed.
        """
        deadlines.check("the inputs were queued")
        expires_at = time.monotonic() + deadlines.remaining(float("inf"))
        places = self._enter(inputs, expires_at)
        try:
            if len(inputs) == 1:  # as most calls have: spares a task
                return [await self._one(inputs[0], places[0])]
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
        return await self._intake(type(item)).queue.enter_bulk(self._size(item))

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
        await self.images.check(_PICTURE, self._image_bytes)
        await self.texts.check(b"a", 4)

    def stop_after(self, seconds: float) -> None:
        """Goes on for a while, so that what waits is computed, then refuses the rest."""
        self.images.queue.stop_after(seconds)
        self.texts.queue.stop_after(seconds)

    def _enter(self, inputs: Sequence[Input], expires_at: float) -> list[AnyPlace | None]:
        """Takes a place for each input that needs one: all, or none."""
        taken: dict[type[Input], Iterator[AnyPlace]] = {}
        entered: list[AnyPlace] = []
        try:
            for kind in (ImageInput, TextInput):
                items = [item for item in inputs if isinstance(item, kind)]
                if items:
                    queue = self._intake(kind).queue
                    places = queue.enter(list(map(self._size, items)), expires_at)
                    entered += places
                    taken[kind] = iter(places)
        except ServiceError:
            for place in entered:
                place.leave()
            raise
        return [None if isinstance(i, RefusedInput) else next(taken[type(i)]) for i in inputs]

    async def _one(self, item: Input, place: AnyPlace | None) -> Outcome:
        if isinstance(item, RefusedInput):
            if item.kind is not None:
                self._intake(item.kind).statistics.refused += 1
            return item.error
        assert place is not None
        try:
            if isinstance(item, TextInput):
                return await self.texts.embed(item.text.encode(), place)
            return await self.images.embed(item.data, place)
        except ImageError as error:
            return error.at(item.field) if isinstance(item, ImageInput) else error
        except (StoppingError, DeadlineError):  # not this input's own: the call's
            raise
        except ServiceError as error:
            return error

    def _intake(self, kind: type[Input]) -> Intake[Any]:
        return self.images if kind is ImageInput else self.texts

    def _size(self, item: Input) -> int:
        """Bytes that an input holds while it waits: as it came, then as it was prepared."""
        if isinstance(item, ImageInput):
            return len(item.data) + self._image_bytes
        return len(item.text) * 4 if isinstance(item, TextInput) else 0


def image_intake(
    model: str,
    queue: Batcher[Pixels, Vector],
    recipe: ImageRecipe,
    limits: ImageLimits,
    decoders: Decoders,
    workers: Workers,
    cache: VectorCache,
) -> Intake[Pixels]:
    """Takes image files to vectors of the model named; see Intake."""

    def prepare(data: bytes) -> Prepared[Pixels]:
        return Prepared(recipe.prepare(data, limits, decoders))

    return Intake(f"image {model}", queue, prepare, workers, cache)


def text_intake(
    model: str,
    queue: Batcher[Tokens, Vector],
    recipe: TextRecipe,
    workers: Workers,
    cache: VectorCache,
) -> Intake[Tokens]:
    """Takes texts in UTF-8 to vectors of the model named; see Intake."""

    def prepare(text: bytes) -> Prepared[Tokens]:
        tokens = recipe.prepare(text.decode())
        return Prepared(tokens, tokens.truncated)

    return Intake(f"text {model}", queue, prepare, workers, cache, at_once=_SHORT_TEXT)


def _a_picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


_PICTURE = _a_picture()
