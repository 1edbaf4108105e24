"""A CLIP model's towers as functions of bytes and token ids, for whichever engine runs them.

They run the model's own modules, as sentence-transformers' `encode` does. What comes before and
after them (rescaling pixels, normalising vectors) is part of them, so that it runs on the device
and is fused with the rest where an engine can.
"""

from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from embedder_service.preprocessing import ImageRecipe


class ImageNetwork(nn.Module):
    """Encodes pictures.

    Args:
        network: Takes images.
        recipe: What its pixels are scaled by.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, network: SentenceTransformer, recipe: ImageRecipe) -> None:
        super().__init__()
        self.network = network
        # (x * scale - mean) / std, as one multiplication and one subtraction.
        std = torch.tensor(recipe.std).view(1, 3, 1, 1)
        self.register_buffer("factor", recipe.scale / std, persistent=False)
        self.register_buffer(
            "offset", torch.tensor(recipe.mean).view(1, 3, 1, 1) / std, persistent=False
        )

    def forward(self, squares: Tensor) -> Tensor:
        """Encodes (B, side, side, 3) bytes of RGB to (B, dimensions), float32, unit length."""
        pixels = squares.permute(0, 3, 1, 2).float() * self.factor - self.offset  # (B, 3, H, W)
        features = {"pixel_values": pixels.to(_dtype(self.network)), "modality": "image"}
        return _normalised(self.network, features)


class TextNetwork(nn.Module):
    """Encodes texts.

    Args:
        network: Takes texts.
    """

    def __init__(self, network: SentenceTransformer) -> None:
        super().__init__()
        self.network = network
        self._wants_types = "token_type_ids" in network.tokenizer.model_input_names

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encodes (B, T) ids, int64, with their mask, to (B, dimensions), float32, unit length."""
        features = {"input_ids": ids, "attention_mask": mask, "modality": "text"}
        if self._wants_types:
            features["token_type_ids"] = torch.zeros_like(ids)
        return _normalised(self.network, features)


def _normalised(network: SentenceTransformer, features: dict[str, Any]) -> Tensor:
    return nn.functional.normalize(network(features)["sentence_embedding"].float(), dim=-1)


def _dtype(network: nn.Module) -> torch.dtype:
    return next(p.dtype for p in network.parameters() if p.is_floating_point())
