"""What fitting images score with a model: measured, with pictures whose description is exact."""

import asyncio
import io
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gateway.clients.embedder import Embedder
from service_kit import deadlines
from service_kit.workers import Workers

_COLOURS = {
    "red": (214, 32, 36),
    "green": (28, 148, 62),
    "blue": (34, 76, 212),
    "yellow": (246, 214, 28),
    "black": (22, 22, 24),
    "white": (246, 246, 246),
}
_SHAPES = ("circle", "square", "triangle")
_PAIRS = (("red", "white"), ("blue", "yellow"), ("green", "black"), ("black", "white"))
_SIDE = 224


@dataclass(frozen=True)
class Levels:
    """Median similarities of what belongs together.

    Attributes:
        text: Of a text and a picture that it describes.
        image: Of two pictures of one description.
    """

    text: float
    image: float


class LevelMeter:
    """Measures a model once, when it is first asked for.

    The pictures are a coloured shape on a coloured ground: whatever a model was trained for, it
    knows these.

    Args:
        embedder: Has the model.
        workers: Threads that draw.
    """

    def __init__(self, embedder: Embedder, workers: Workers) -> None:
        self._embedder = embedder
        self._workers = workers
        self._known: dict[str, Levels] = {}
        self._task: asyncio.Task[tuple[str, Levels]] | None = None

    async def of(self, space: str) -> Levels:
        """The levels of the model whose vectors are of a space.

        Raises:
            ServiceError: The embedder cannot be asked.
        """
        if space not in self._known:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._measure())
                self._task.add_done_callback(_retrieved)
            measured, levels = await asyncio.shield(self._task)
            self._known = {measured: levels, space: levels}
        return self._known[space]

    async def stop(self) -> None:
        """Ends what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _measure(self) -> tuple[str, Levels]:
        deadlines.begin(None)  # it is for all calls to come
        shown = [(shape, *pair) for shape in _SHAPES for pair in _PAIRS]
        texts = [f"a {colour} {shape} on a {ground} background" for shape, colour, ground in shown]
        ones, others = await self._workers.run(_draw_all, shown)
        vectors = await self._embedder.embed_all(texts, [*ones, *others])
        count = len(shown)
        matrix = np.array([vector.values for vector in vectors], np.float32)
        said, one, other = matrix[:count], matrix[count : 2 * count], matrix[2 * count :]
        return vectors[0].space, Levels(_median(said, one), _median(one, other))


def _retrieved(task: "asyncio.Task[tuple[str, Levels]]") -> None:
    if not task.cancelled():
        task.exception()  # whoever waits raises it; perhaps nobody waits any more


def _median(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.median(np.sum(a * b, axis=1)))


def _draw_all(shown: list[tuple[str, str, str]]) -> tuple[list[bytes], list[bytes]]:
    """Two pictures of each, encoded: of another size and place."""
    return [_draw(*each, 0) for each in shown], [_draw(*each, 1) for each in shown]


def _draw(shape: str, colour: str, ground: str, seed: int) -> bytes:
    rng = random.Random(f"{shape} {colour} {ground} {seed}")
    image = Image.new("RGB", (_SIDE, _SIDE), _COLOURS[ground])
    brush = ImageDraw.Draw(image)
    radius = _SIDE * rng.uniform(0.24, 0.34)
    x, y = (_SIDE * rng.uniform(0.42, 0.58) for _ in range(2))
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        brush.ellipse(box, fill=_COLOURS[colour])
    elif shape == "square":
        brush.rectangle(box, fill=_COLOURS[colour])
    else:
        corners = [(x, y - radius), (x + radius, y + 0.8 * radius), (x - radius, y + 0.8 * radius)]
        brush.polygon(corners, fill=_COLOURS[colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
