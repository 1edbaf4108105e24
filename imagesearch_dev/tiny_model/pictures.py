"""The pictures that the tiny model learns from: drawings, and textures that look natural.

Textures follow Baradad et al. 2021, "Learning to See by Looking at Noise": dead leaves
and noise with the spectrum of photos teach a network to recognise any picture again.
"""

import random

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageFont
from torch import Tensor

from imagesearch_dev.drawings import Drawing, draw, random_drawing

SIDE = 96
"""Pixels a side of a picture in a pool; views of it are smaller."""

ALIKE = 4
"""Textures of one kind: to tell a crop of one from the others is what makes versions hard."""


def drawings(count: int, seed: int) -> tuple[list[Drawing], Tensor]:
    """Makes up drawings.

    Returns:
        What they show, and (count, 3, SIDE, SIDE) uint8.
    """
    rng = random.Random(seed)
    shown = [random_drawing(rng) for _ in range(count)]
    return shown, torch.stack([to_tensor(draw(drawing, SIDE)) for drawing in shown])


def textures(count: int, seed: int) -> Tensor:
    """Makes pictures that look natural: (count, 3, SIDE, SIDE) uint8.

    Every ALIKE that follow one another differ as two photos of one lawn do.
    """
    chance = np.random.default_rng(seed)
    return torch.stack(
        [
            to_tensor(_texture(np.random.default_rng((seed, number // ALIKE)), chance))
            for number in range(count)
        ]
    )


def overlays(count: int, seed: int, side: int) -> Tensor:
    """Makes masks of text as watermarks have it: (count, 1, side, side) float32, 0 to 1."""
    rng = random.Random(seed)
    masks = []
    for _ in range(count):
        mask = Image.new("L", (side * 2, side * 2))
        text = "".join(rng.choices("ABCDEFGHKLMNOPRSTUVWXYZ0123456789 ", k=rng.randint(4, 10)))
        font = ImageFont.load_default(rng.uniform(0.2, 0.6) * side)
        place = (rng.uniform(0.6, 1.4) * side, rng.uniform(0.6, 1.4) * side)
        ImageDraw.Draw(mask).text(place, text, fill=255, font=font, anchor="mm")
        mask = mask.rotate(rng.uniform(-40, 40)).resize((side, side), Image.Resampling.BOX)
        masks.append(torch.from_numpy(np.array(mask, dtype=np.float32)[None] / 255))
    return torch.stack(masks)


def to_tensor(image: Image.Image) -> Tensor:
    """(3, height, width) uint8 of an RGB picture."""
    return torch.from_numpy(np.array(image).transpose(2, 0, 1).copy())


def _texture(style: np.random.Generator, chance: np.random.Generator) -> Image.Image:
    """Makes one picture: what kind of thing it shows, and which one of that kind."""
    noisy = style.random() < 0.6
    image = _noise(style, chance) if noisy else _gradient(style)
    if not noisy or style.random() < 0.5:
        _scatter_leaves(image, style, chance)
    return ImageEnhance.Color(image).enhance(style.choice((0.0, 0.4, 1.0)))


def _noise(style: np.random.Generator, chance: np.random.Generator) -> Image.Image:
    """Coloured noise whose amplitude falls with frequency to a power, as in photos."""
    across = np.fft.fftfreq(SIDE)[:, None]
    along = np.fft.fftfreq(SIDE)[None, :] * style.uniform(0.5, 2)
    frequency = np.sqrt(across**2 + along**2)
    frequency[0, 0] = 1
    fall = frequency ** -style.uniform(0.2, 2.2)
    fall[0, 0] = 0
    waves = np.fft.fft2(chance.standard_normal((3, SIDE, SIDE))) * fall
    values = np.fft.ifft2(waves).real
    values /= values.std() + 1e-6
    mixed = np.tensordot(style.standard_normal((3, 3)) * 0.6 + 0.5, values, 1)
    base = style.uniform(50, 200, 3)[:, None, None]
    pixels = base + mixed * style.uniform(10, 45)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _gradient(style: np.random.Generator) -> Image.Image:
    corners = style.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def _scatter_leaves(
    image: Image.Image, style: np.random.Generator, chance: np.random.Generator
) -> None:
    """Covers the picture with shapes, large and few below, small and many above."""
    brush = ImageDraw.Draw(image)
    palette = style.integers(0, 256, (style.integers(3, 9), 3))
    smallest = style.uniform(0.03, 0.4)
    for _ in range(style.integers(3, 60)):
        radius = min(4 / max(chance.random(), 0.06, smallest), 45)
        x, y = chance.uniform(0, SIDE, 2)
        colour = palette[chance.integers(len(palette))] + chance.integers(-20, 21, 3)
        ink = tuple(int(v) for v in np.clip(colour, 0, 255))
        if chance.random() < 0.5:
            tall = radius * chance.uniform(0.3, 1)
            brush.ellipse((x - radius, y - tall, x + radius, y + tall), fill=ink)
        else:
            angles = np.sort(chance.uniform(0, 2 * np.pi, chance.integers(3, 7)))
            points = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
            brush.polygon(points, fill=ink)
