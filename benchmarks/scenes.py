"""Any number of distinct pictures, by seed: clouds of colour with things on them."""

import io
import random

import numpy as np
from PIL import Image, ImageDraw

SIDE = 224


def scene(seed: int, side: int = SIDE) -> Image.Image:
    """A picture like no other: coarse and fine noise, and 6 to 24 shapes and strokes."""
    rng = random.Random(seed)
    noise = np.random.default_rng(seed)
    ground = np.zeros((side, side, 3))
    for cells, strength in ((rng.randint(2, 6), 1.0), (rng.randint(8, 24), rng.random())):
        coarse = Image.fromarray(noise.integers(0, 256, (cells, cells, 3), np.uint8))
        smooth = coarse.resize((side, side), Image.Resampling.BICUBIC)
        ground += strength * np.asarray(smooth, np.float64)
    picture = Image.fromarray((ground * (255 / max(1.0, ground.max()))).astype(np.uint8))
    brush = ImageDraw.Draw(picture)
    for _ in range(rng.randint(6, 24)):
        _draw(brush, rng, side)
    return picture


def _draw(brush: ImageDraw.ImageDraw, rng: random.Random, side: int) -> None:
    colour = tuple(rng.randrange(256) for _ in range(3))
    size = side * rng.uniform(0.05, 0.3)
    x, y = rng.uniform(0, side), rng.uniform(0, side)
    match rng.randrange(4):
        case 0:
            brush.ellipse((x - size / 2, y - size / 3, x + size / 2, y + size / 3), fill=colour)
        case 1:
            corners = [
                (x + rng.uniform(-size, size), y + rng.uniform(-size, size))
                for _ in range(rng.randint(3, 6))
            ]
            brush.polygon(corners, fill=colour)
        case 2:
            end = x + rng.uniform(-size, size) * 2, y + rng.uniform(-size, size) * 2
            brush.line(((x, y), end), fill=colour, width=rng.randint(1, 6))
        case _:
            width = rng.randint(1, 4)
            brush.arc(
                (x - size, y - size, x + size, y + size), 0, rng.randint(60, 360), colour, width
            )


def jpeg(image: Image.Image, quality: int = 88) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
