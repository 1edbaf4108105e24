"""A CLIP model's towers: pixels or tokens in, unit vectors out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedder_service.engines import Engine
from embedder_service.preprocessing import ImageRecipe
from embedder_service.tokens import TextRecipe, Tokens, stack

T = TypeVar("T")

# Texts are padded to multiples of this, so that few shapes are met.
_TOKENS_STEP = 4
# A text goes into a batch of its own rather than be padded to more than this many times its length.
_MOST_PADDING = 3


class ImageTower:
    """Encodes pictures.

    Args:
        engine: Runs an ImageNetwork.
        recipe: How its pixels are made.
    """

    def __init__(self, engine: Engine, recipe: ImageRecipe) -> None:
        self._engine = engine
        self.recipe = recipe

    def encode(self, squares: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encodes pictures that `recipe.prepare` made.

        Args:
            squares: Each (side, side, 3), RGB.

        Returns:
            (len(squares), dimensions), each row of unit length.

        Raises:
            ArithmeticError: A vector is not finite, or zero.
            BatchTooLargeError: The device has not the memory for so many.
        """
        return _checked(self._engine(np.stack(squares)))


class TextTower:
    """Encodes texts.

    Args:
        engine: Runs a TextNetwork.
        recipe: How its tokens are made.
        together: Compute all texts of a batch at once, however different their lengths. For
            GPUs: they wait for more to do rather than mind some padding.
    """

    def __init__(self, engine: Engine, recipe: TextRecipe, *, together: bool) -> None:
        self._engine = engine
        self._together = together
        self.recipe = recipe

    def encode(self, texts: list[Tokens]) -> NDArray[np.float32]:
        """Encodes texts that `recipe.prepare` made, those of like length together.

        Returns:
            (len(texts), dimensions), each row of unit length.

        Raises:
            ArithmeticError: A vector is not finite, or zero.
            BatchTooLargeError: The device has not the memory for so many.
        """
        parts: list[NDArray[np.float32]] = []
        order: list[int] = []
        for group in self._groups(texts):
            ids, mask = stack([texts[i] for i in group], self.recipe.padding, _TOKENS_STEP)
            parts.append(_checked(self._engine(ids, mask)))
            order += group
        vectors = np.concatenate(parts)
        vectors[order] = vectors.copy()
        return vectors

    def _groups(self, texts: list[Tokens]) -> Iterator[list[int]]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i].ids))
        group: list[int] = []
        for i in order:
            most = _MOST_PADDING * max(_TOKENS_STEP, len(texts[group[0]].ids) if group else 0)
            if group and not self._together and len(texts[i].ids) > most:
                yield group
                group = []
            group.append(i)
        yield group


def _checked(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3):  # also false for what is not a number
        raise ArithmeticError("the model gave a vector that has no direction")
    return vectors


# Fixed inputs with edges, gradients and several scripts: they warm the model up, and show
# whether another arithmetic gives the same vectors.
PROBE_TEXTS = ("a photo of a cat", "ein rotes Auto", "一只狗", "два дома у моря", "a")


def probe_pictures() -> list[Image.Image]:
    """Draws fixed pictures, of several shapes: waves of different lengths in each channel."""
    pictures = []
    for width, height in ((224, 224), (320, 240), (200, 400)):
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        waves = [np.sin(x / a + y / b) for a, b in ((7, 31), (53, 11), (3, 97))]
        pixels = (np.stack(waves, axis=-1) * 127 + 128).astype(np.uint8)
        pictures.append(Image.fromarray(pixels))
    return pictures


@dataclass(frozen=True)
class Towers:
    """The towers of one model on one device; None for what it does not take."""

    images: ImageTower | None
    texts: TextTower | None

    def probes(self) -> list[tuple[ImageTower | TextTower, list[Any]]]:
        """Gives each tower with the fixed inputs, prepared for it."""
        found: list[tuple[ImageTower | TextTower, list[Any]]] = []
        if self.images:
            squares = [self.images.recipe.square(picture) for picture in probe_pictures()]
            found.append((self.images, squares))
        if self.texts:
            found.append((self.texts, [self.texts.recipe.prepare(text) for text in PROBE_TEXTS]))
        return found

    def probe_vectors(self) -> NDArray[np.float32]:
        """Encodes the fixed inputs: (inputs, dimensions)."""
        return np.concatenate([tower.encode(inputs) for tower, inputs in self.probes()])


@dataclass(frozen=True)
class ModelInfo:
    """What clients may know of a model.

    Attributes:
        name: Hub name or folder name.
        revision: Digest of its weights.
        takes: "image", "text", or both.
        dimensions: Values in a vector.
        space: What its vectors may be compared with.
        max_text_tokens: Tokens a text is cut to; 0 if it takes no text.
        device: E.g. "cpu", "cuda:0,cuda:1".
        backend: "torch" or "openvino".
        dtype: E.g. "float32".
        cosine: Least cosine of the fixed inputs' vectors to those of float32.
        max_batch: Most inputs computed together.
        logit_scale: Factor from cosine to logits; 0 where the model does not say.
    """

    name: str
    revision: str
    takes: tuple[str, ...]
    dimensions: int
    space: str
    max_text_tokens: int
    device: str
    backend: str
    dtype: str
    cosine: float
    max_batch: int
    logit_scale: float


@dataclass(frozen=True)
class Lane(Generic[T]):
    """What takes one kind of input.

    Attributes:
        model: Name of the model.
        towers: The same tower on each device.
        max_batch: Most inputs to give it at a time.
    """

    model: str
    towers: tuple[T, ...]
    max_batch: int


@dataclass(frozen=True)
class ClipModel:
    """An image tower and the text tower aligned to it, ready to be used.

    Attributes:
        images: The image tower.
        texts: The text tower.
        infos: The models they are of: one for both, or the image model and the text model.
    """

    images: Lane[ImageTower]
    texts: Lane[TextTower]
    infos: tuple[ModelInfo, ...]

    @property
    def space(self) -> str:
        """What vectors of both towers may be compared with."""
        return self.infos[0].space
