"""Other versions of whole batches of pictures: what `augment` is to a single one."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 64
"""Pixels a side of what the model sees."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's own, so that the image processor's defaults hold."""


def plain(pictures: Tensor) -> Tensor:
    """The pictures as they are.

    Args:
        pictures: (B, 3, H, W) uint8.

    Returns:
        (B, 3, SIDE, SIDE) float32, normalised.
    """
    small = F.interpolate(pictures.float() / 255, (SIDE, SIDE), mode="bicubic", antialias=True)
    return _normalise(small.clamp(0, 1))


def varied(
    pictures: Tensor, overlays: Tensor, least_area: float, random: torch.Generator
) -> Tensor:
    """Each picture in another version: cropped or framed, recoloured, blurred, watermarked.

    Args:
        pictures: (B, 3, H, W) uint8.
        overlays: (N, 1, SIDE, SIDE) masks of text.
        least_area: Smallest part of a picture that a crop keeps.
        random: Source of the choices.

    Returns:
        (B, 3, SIDE, SIDE) float32, normalised.
    """
    count = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=random) * (high - low) + low

    def chance(share: float) -> Tensor:
        return uniform(0, 1, 1, 1, 1) < share

    images = _placed(pictures.float() / 255, least_area, uniform)
    images = images * uniform(0.7, 1.25, 1, 1, 1) + uniform(-0.06, 0.06, 1, 1, 1)
    images = images * uniform(0.92, 1.08, 3, 1, 1)
    grey = images.mean(1, keepdim=True)
    colour = torch.where(chance(0.1), torch.zeros(count, 1, 1, 1), uniform(0.6, 1.3, 1, 1, 1))
    images = grey + (images - grey) * colour
    small = F.interpolate(images, scale_factor=0.5, mode="area")
    blurred = F.interpolate(small, (SIDE, SIDE), mode="bilinear", align_corners=False)
    images = torch.where(chance(0.2), blurred, images)
    mask = overlays[torch.randint(len(overlays), (count,), generator=random)]
    ink = (uniform(0, 1, 1, 1, 1) < 0.75).float()
    opacity = torch.where(chance(0.4), uniform(0.25, 0.65, 1, 1, 1), torch.zeros(count, 1, 1, 1))
    images = images + mask * opacity * (ink - images)
    noise = torch.randn(images.shape, generator=random) * uniform(0, 0.03, 1, 1, 1)
    return _normalise((images + noise).clamp(0, 1))


def _placed(images: Tensor, least_area: float, uniform: Callable[..., Tensor]) -> Tensor:
    """Crops most pictures somewhere, and puts a frame around some."""
    side = uniform(least_area, 1.0).sqrt()
    framed = uniform(0, 1) < 0.2
    side = torch.where(framed, uniform(1.02, 1.15), side)
    room = (1 - side).clamp(min=0)
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = side * uniform(0.94, 1.0)
    theta[:, 1, 1] = side
    theta[:, 0, 2] = room * uniform(-1, 1)
    theta[:, 1, 2] = room * uniform(-1, 1)
    grid = F.affine_grid(theta, [len(images), 3, SIDE, SIDE], align_corners=False)
    inside = ((grid.abs() <= 1).all(-1)).float().unsqueeze(1)
    sampled = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return sampled * inside + uniform(0, 1, 1, 1, 1).round() * (1 - inside)


def _normalise(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std
