"""Simple pictures that can be described exactly: a number of shapes on a background.

They are what the tiny model is trained and tested on, and part of the sample pictures.
"""

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "moon")
UNSEEN_SHAPES = (
    "arrow",
    "lightning",
    "house",
    "hourglass",
    "bar",
    "angle",
    "zigzag",
    "hexagon",
    "burst",
)
"""Shapes that can be drawn and that nothing was trained on: what a classifier should not know."""

COLOURS = {
    "red": (214, 32, 36),
    "green": (28, 148, 62),
    "blue": (34, 76, 212),
    "yellow": (246, 214, 28),
    "orange": (245, 132, 22),
    "purple": (136, 44, 168),
    "black": (22, 22, 24),
    "white": (246, 246, 246),
}
TEXTURES = ("plain", "striped", "dotted", "checkered")
POSITIONS = {
    "centre": (0.5, 0.5),
    "top left": (0.27, 0.27),
    "top right": (0.73, 0.27),
    "bottom left": (0.27, 0.73),
    "bottom right": (0.73, 0.73),
}
MAX_COUNT = 4

_SUPERSAMPLING = 3


@dataclass(frozen=True)
class Drawing:
    """What a picture shows.

    Attributes:
        count: Number of shapes, 1 to MAX_COUNT, all of one kind and colour.
        colour: Of the shapes, a key of COLOURS.
        shape: One of SHAPES, or of UNSEEN_SHAPES.
        position: Of a single shape, a key of POSITIONS; "" where there are several.
        texture: Of the background, one of TEXTURES.
        background: Its colour, a key of COLOURS other than `colour`.
        seed: Decides what no description says: sizes, angles, exact places and shades.
    """

    count: int
    colour: str
    shape: str
    position: str
    texture: str
    background: str
    seed: int


def random_drawing(rng: random.Random) -> Drawing:
    """Makes up a picture."""
    count = rng.choice((1, 1, 2, 3, 4))
    colour, background = rng.sample(list(COLOURS), 2)
    return Drawing(
        count=count,
        colour=colour,
        shape=rng.choice(SHAPES),
        position=rng.choice(list(POSITIONS)) if count == 1 else "",
        texture=rng.choice(TEXTURES),
        background=background,
        seed=rng.getrandbits(32),
    )


def draw(drawing: Drawing, size: int = 320) -> Image.Image:
    """Paints a picture.

    Args:
        drawing: What it shows.
        size: Pixels a side.

    Returns:
        RGB; the same for the same arguments.
    """
    rng = random.Random(drawing.seed)
    canvas = size * _SUPERSAMPLING
    image = Image.new("RGB", (canvas, canvas))
    brush = ImageDraw.Draw(image)
    _paint_background(brush, canvas, drawing, rng)
    ink = _shade(COLOURS[drawing.colour], rng.uniform(-14, 14))
    for x, y, radius in _places(drawing, rng):
        turn = rng.uniform(-0.25, 0.25)
        _paint_shape(
            image, brush, drawing.shape, ink, x * canvas, y * canvas, radius * canvas, turn
        )
    return image.resize((size, size), Image.Resampling.BOX)


def _shade(colour: tuple[int, int, int], by: float) -> tuple[int, int, int]:
    red, green, blue = (max(0, min(255, round(value + by))) for value in colour)
    return red, green, blue


def _paint_background(
    brush: ImageDraw.ImageDraw, canvas: int, drawing: Drawing, rng: random.Random
) -> None:
    paper = _shade(COLOURS[drawing.background], rng.uniform(-10, 10))
    light = sum(paper) / 3
    second = _shade(paper, -62 if light > 110 else 72)
    brush.rectangle((0, 0, canvas, canvas), fill=paper)
    step = canvas / rng.randint(7, 10)
    cells = range(-1, int(canvas / step) + 2)
    if drawing.texture == "striped":
        across = rng.random() < 0.5
        for i in cells:
            start, end = i * step, i * step + step / 2
            box = (0, start, canvas, end) if across else (start, 0, end, canvas)
            brush.rectangle(box, fill=second)
    elif drawing.texture == "dotted":
        dot = step * 0.24
        for i in cells:
            for j in cells:
                x, y = (i + 0.5 * (j % 2)) * step, j * step
                brush.ellipse((x - dot, y - dot, x + dot, y + dot), fill=second)
    elif drawing.texture == "checkered":
        for i in cells:
            for j in cells:
                if (i + j) % 2:
                    x, y = i * step, j * step
                    brush.rectangle((x, y, x + step, y + step), fill=second)


def _places(drawing: Drawing, rng: random.Random) -> list[tuple[float, float, float]]:
    """Chooses (x, y, radius) of each shape, as fractions of the side."""
    if drawing.count == 1:
        x, y = POSITIONS[drawing.position]
        radius = rng.uniform(0.19, 0.23) if drawing.position != "centre" else rng.uniform(0.2, 0.32)
        return [(x + rng.uniform(-0.03, 0.03), y + rng.uniform(-0.03, 0.03), radius)]
    if drawing.count == 2:
        angle = rng.uniform(0, math.pi)
        x, y = 0.24 * math.cos(angle), 0.24 * math.sin(angle)
        spots = [(0.5 + x, 0.5 + y), (0.5 - x, 0.5 - y)]
    else:
        spots = [(0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)]
        if drawing.count == 3:
            spots.remove(rng.choice(spots))
    radius = rng.uniform(0.15, 0.18)
    return [(x + rng.uniform(-0.03, 0.03), y + rng.uniform(-0.03, 0.03), radius) for x, y in spots]


def _paint_shape(
    image: Image.Image,
    brush: ImageDraw.ImageDraw,
    shape: str,
    ink: tuple[int, int, int],
    x: float,
    y: float,
    radius: float,
    turn: float,
) -> None:
    if shape == "circle":
        brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    elif shape == "ring":
        box = (x - radius, y - radius, x + radius, y + radius)
        brush.ellipse(box, outline=ink, width=round(radius * 0.42))
    elif shape == "moon":
        side = round(radius * 2)
        mask = Image.new("L", (side, side))
        cut = ImageDraw.Draw(mask)
        cut.ellipse((0, 0, side - 1, side - 1), fill=255)
        cut.ellipse((side * 0.32, -side * 0.08, side * 1.2, side * 0.8), fill=0)
        image.paste(ink, (round(x - radius), round(y - radius)), mask)
    else:
        brush.polygon(
            [
                (
                    x + radius * (u * math.cos(turn) - v * math.sin(turn)),
                    y + radius * (u * math.sin(turn) + v * math.cos(turn)),
                )
                for u, v in _OUTLINES[shape]
            ],
            fill=ink,
        )


def _regular(points: int, inner: float) -> list[tuple[float, float]]:
    """A star with `points` tips whose dents lie at `inner` of the radius."""
    return [
        (
            (inner if i % 2 else 1.0) * math.sin(math.pi * i / points),
            -(inner if i % 2 else 1.0) * math.cos(math.pi * i / points),
        )
        for i in range(2 * points)
    ]


def _heart() -> list[tuple[float, float]]:
    turns = [2 * math.pi * i / 60 for i in range(60)]
    return [
        (
            math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16,
        )
        for t in turns
    ]


_CROSS_ARM = 0.34
_OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)],
    "triangle": [(0.0, -1.0), (0.95, 0.75), (-0.95, 0.75)],
    "star": _regular(5, 0.42),
    "heart": _heart(),
    "cross": [
        *((-_CROSS_ARM, -1.0), (_CROSS_ARM, -1.0), (_CROSS_ARM, -_CROSS_ARM), (1.0, -_CROSS_ARM)),
        *((1.0, _CROSS_ARM), (_CROSS_ARM, _CROSS_ARM), (_CROSS_ARM, 1.0), (-_CROSS_ARM, 1.0)),
        *((-_CROSS_ARM, _CROSS_ARM), (-1.0, _CROSS_ARM), (-1.0, -_CROSS_ARM)),
        (-_CROSS_ARM, -_CROSS_ARM),
    ],
    "arrow": [(0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 1), (-0.3, 1), (-0.3, -0.1), (-0.8, -0.1)],
    "lightning": [
        *((0.2, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.25, 1)),
        *((0.6, -0.25), (0.05, -0.25), (0.45, -1)),
    ],
    "house": [
        (0, -1),
        (0.9, -0.2),
        (0.6, -0.2),
        (0.6, 0.9),
        (-0.6, 0.9),
        (-0.6, -0.2),
        (-0.9, -0.2),
    ],
    "hourglass": [(-0.8, -1), (0.8, -1), (0.1, 0), (0.8, 1), (-0.8, 1), (-0.1, 0)],
    "bar": [(-0.15, -1), (0.15, -1), (0.15, 1), (-0.15, 1)],
    "angle": [(-0.8, -1), (-0.3, -1), (-0.3, 0.5), (0.8, 0.5), (0.8, 1), (-0.8, 1)],
    "zigzag": [
        *((-1, -0.3), (-0.5, -0.8), (0, -0.3), (0.5, -0.8), (1, -0.3)),
        *((1, 0.3), (0.5, -0.2), (0, 0.3), (-0.5, -0.2), (-1, 0.3)),
    ],
    "hexagon": [(math.sin(math.pi * i / 3), -math.cos(math.pi * i / 3)) for i in range(6)],
    "burst": _regular(11, 0.6),
}
