"""A CLIP model's towers: pixels or tokens in, unit vectors out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sentence_transformers import SentenceTransformer

from embedder_service.preprocessing import ImageRecipe
from embedder_service.tokens import TextRecipe, Tokens, stack


class ImageTower:
    """Encodes pictures. Runs the model's own modules, as the library's `encode` does.

    Args:
        network: Takes images; its weights lie on one device.
        recipe: How its pixels are made.
    """

    def __init__(self, network: SentenceTransformer, recipe: ImageRecipe) -> None:
        self._network = network
        self.recipe = recipe
        self._mean = torch.tensor(recipe.mean, device=network.device).view(1, 3, 1, 1)
        self._std = torch.tensor(recipe.std, device=network.device).view(1, 3, 1, 1)

    def encode(self, squares: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encodes pictures that `recipe.prepare` made.

        Args:
            squares: Each (side, side, 3), RGB.

        Returns:
            (len(squares), dimensions), each row of unit length.

        Raises:
            ArithmeticError: A vector is not finite, or zero.
        """
        raw = torch.from_numpy(np.stack(squares)).to(self._network.device)  # (B, H, W, 3)
        pixels = raw.permute(0, 3, 1, 2).float() * self.recipe.scale  # (B, 3, H, W)
        pixels = ((pixels - self._mean) / self._std).to(self._network.dtype)
        return _vectors(self._network, {"pixel_values": pixels, "modality": "image"})


class TextTower:
    """Encodes texts. Runs the model's own modules, as the library's `encode` does.

    Args:
        network: Takes texts; its weights lie on one device.
        recipe: How its tokens are made.
    """

    def __init__(self, network: SentenceTransformer, recipe: TextRecipe) -> None:
        self._network = network
        self.recipe = recipe
        tokenizer = network.tokenizer
        self._pad = int(tokenizer.pad_token_id or 0)
        self._pad_left = tokenizer.padding_side == "left"
        self._wants_types = "token_type_ids" in tokenizer.model_input_names

    def encode(self, texts: list[Tokens]) -> NDArray[np.float32]:
        """Encodes texts that `recipe.prepare` made.

        Returns:
            (len(texts), dimensions), each row of unit length.

        Raises:
            ArithmeticError: A vector is not finite, or zero.
        """
        ids, mask = stack(texts, self._pad, self._pad_left)
        device = self._network.device
        features: dict[str, Any] = {
            "input_ids": torch.from_numpy(ids).to(device),  # (B, T)
            "attention_mask": torch.from_numpy(mask).to(device),  # (B, T)
            "modality": "text",
        }
        if self._wants_types:
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        return _vectors(self._network, features)


def _vectors(network: SentenceTransformer, features: dict[str, Any]) -> NDArray[np.float32]:
    with torch.inference_mode():
        raw = network(features)["sentence_embedding"].float()  # (B, D)
        vectors = torch.nn.functional.normalize(raw, dim=-1).cpu().numpy()
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3):  # also false for what is not a number
        raise ArithmeticError("the model gave a vector that has no direction")
    result: NDArray[np.float32] = vectors
    return result


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
class ModelInfo:
    """What clients may know of a model.

    Attributes:
        name: Hub name or folder name.
        revision: Digest of its weights.
        takes: "image", "text", or both.
        dimensions: Values in a vector.
        space: What its vectors may be compared with.
        max_text_tokens: Tokens a text is cut to; 0 if it takes no text.
        device: E.g. "cpu", "cuda:0".
        dtype: E.g. "float32".
        logit_scale: Factor from cosine to logits; 0 where the model does not say.
    """

    name: str
    revision: str
    takes: tuple[str, ...]
    dimensions: int
    space: str
    max_text_tokens: int
    device: str
    dtype: str
    logit_scale: float


@dataclass(frozen=True)
class ClipModel:
    """An image tower and the text tower aligned to it, ready to be used.

    Attributes:
        images: The image tower.
        texts: The text tower.
        infos: The models they are of: one for both, or the image model and the text model.
        on_gpu: They share a device whose work is queued anyway.
    """

    images: ImageTower
    texts: TextTower
    infos: tuple[ModelInfo, ...]
    on_gpu: bool

    @property
    def space(self) -> str:
        """What vectors of both towers may be compared with."""
        return self.infos[0].space
