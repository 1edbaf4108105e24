"""Versions of a picture, and what is true of each: its relation, and where what is."""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from gateway.proof.boxes import Box
from gateway.proof.relations import Relation

# Blur is given for this longest side, and grows with the picture.
_SIDE = 512


@dataclass(frozen=True)
class Made:
    """A version of a picture.

    Attributes:
        image: The version.
        relation: What it is to the original.
        query_box: The part of the original that it shows, if that is a part.
        image_box: The part of it that is the original, if that is a part.
        changed_box: What was put over it, in fractions of the version.
        original: What it is a version of, if that is not the picture itself.
    """

    image: Image.Image
    relation: Relation
    query_box: Box | None = None
    image_box: Box | None = None
    changed_box: Box | None = None
    original: Image.Image | None = None


Maker = Callable[[Image.Image, random.Random, list[Image.Image]], Made]
"""Makes a version of a picture; the others are those to put beside it."""


def resized(by: float) -> Maker:
    """With fewer pixels."""

    def make(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
        size = max(1, round(image.width * by)), max(1, round(image.height * by))
        return Made(image.resize(size, Image.Resampling.LANCZOS), Relation.RESIZED)

    return make


def jpeg(quality: int) -> Maker:
    """Compressed."""

    def make(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
        return Made(encoded(image, quality), Relation.RECOMPRESSED)

    return make


def encoded(image: Image.Image, quality: int) -> Image.Image:
    """As it comes out of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as opened:
        return opened.convert("RGB")


def cropped(area: float) -> Maker:
    """A part of the picture, anywhere something is to be seen."""

    def make(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
        part, box = _part(image, rng, area)
        return Made(part, Relation.CROPPED, query_box=box)

    return make


def wider(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """The picture itself, of which the query is a part."""
    part, box = _part(image, rng, 0.4)
    return Made(image, Relation.WIDER, image_box=box, original=part)


def _part(image: Image.Image, rng: random.Random, area: float) -> tuple[Image.Image, Box]:
    width, height = round(image.width * area**0.5), round(image.height * area**0.5)
    parts = []
    for _ in range(8):
        left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
        edges = (left, top, left + width, top + height)
        part = image.crop(edges)
        box = Box(
            left / image.width,
            top / image.height,
            edges[2] / image.width,
            edges[3] / image.height,
        )
        parts.append((part, box))
        # Not a piece of bare sky, that could be of any picture.
        if np.asarray(part.convert("L"), np.float32).std() > 20:
            break
    return parts[-1]


def watermark(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """A half transparent mark in a corner."""
    return _written(image, rng, "© example.org", 0.07, 0.6, corner=True)


def text_overlay(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """A line of big letters over the lower part, white with a black outline."""
    return _written(image, rng, "WHEN IT IS MONDAY", 0.11, 1.0, corner=False)


def _written(
    image: Image.Image, rng: random.Random, words: str, size: float, alpha: float, corner: bool
) -> Made:
    font = ImageFont.load_default(max(8, round(size * image.width)))
    layer = Image.new("RGBA", image.size)
    brush = ImageDraw.Draw(layer)
    stroke = max(1, round(0.006 * image.width))
    left, top, right, bottom = brush.textbbox((0, 0), words, font, stroke_width=stroke)
    room = image.width - (right - left), image.height - (bottom - top)
    margin = round(0.03 * image.width)
    x = rng.choice((margin, room[0] - margin)) if corner else room[0] // 2
    y = rng.choice((margin, room[1] - margin)) if corner else round(0.93 * room[1])
    opaque = round(255 * alpha)
    brush.text(
        (x - left, y - top),
        words,
        (255, 255, 255, opaque),
        font,
        stroke_width=stroke,
        stroke_fill=(0, 0, 0, opaque),
    )
    drawn = layer.getbbox()
    assert drawn is not None
    result = Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")
    return Made(result, Relation.OVERLAID, changed_box=_fractions(drawn, image.size))


def sticker(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """A part of another picture, pasted on."""
    width, height = round(0.3 * image.width), round(0.3 * image.height)
    pasted = ImageOps.fit(others[0], (width, height))
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    result = image.copy()
    result.paste(pasted, (left, top))
    box = _fractions((left, top, left + width, top + height), image.size)
    return Made(result, Relation.OVERLAID, changed_box=box)


def _fractions(edges: tuple[int, int, int, int], size: tuple[int, int]) -> Box:
    width, height = size
    left, top, right, bottom = edges
    return Box(left / width, top / height, right / width, bottom / height)


def border(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """A white or coloured border around it."""
    colour = rng.choice(("white", "#7a1f2b", "#d9d9d0", "#223344"))
    edge = round(rng.uniform(0.05, 0.12) * max(image.size))
    result = ImageOps.expand(image, edge, colour)
    edges = (edge, edge, edge + image.width, edge + image.height)
    return Made(result, Relation.PADDED, image_box=_fractions(edges, result.size))


def greyscale(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """Without its colours."""
    return Made(image.convert("L").convert("RGB"), Relation.GREYSCALE)


def colour_shift(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """Each channel brighter or darker; all alike for a grey picture, which stays grey."""
    gains = [rng.choice((0.72, 0.8, 1.2, 1.3)) for _ in range(3)]
    if is_grey(image):
        gains = gains[:1] * 3
    pixels = np.asarray(image, np.float32) * np.array(gains, np.float32)
    return Made(Image.fromarray(np.clip(pixels + 8, 0, 255).astype(np.uint8)), Relation.RECOLOURED)


def contrast(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """More contrast, and brighter."""
    brighter = ImageEnhance.Brightness(image).enhance(1.2)
    return Made(ImageEnhance.Contrast(brighter).enhance(1.35), Relation.RECOLOURED)


def is_grey(image: Image.Image) -> bool:
    """Whether a picture has no colour."""
    pixels = np.asarray(image, np.int16)
    return float((pixels.max(axis=2) - pixels.min(axis=2)).mean()) < 4


def blurred(sigma: float) -> Maker:
    """Blurred by a Gaussian, its standard deviation in pixels of 512 a side."""

    def make(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
        radius = sigma * max(image.size) / _SIDE
        return Made(image.filter(ImageFilter.GaussianBlur(radius)), Relation.BLURRED)

    return make


def mirror(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """As in a looking glass."""
    return Made(ImageOps.mirror(image), Relation.MIRRORED)


def rotated(degrees: float) -> Maker:
    """Turned clockwise, with black corners where it must."""

    def make(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
        turned = image.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
        return Made(turned, Relation.ROTATED)

    return make


def collage(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """One of four pictures, two by two."""
    width, height = round(0.5 * image.width), round(0.5 * image.height)
    result = Image.new("RGB", (2 * width, 2 * height))
    place = rng.randrange(4)
    beside = iter(others)
    for i in range(4):
        part = image if i == place else next(beside)
        part = part.resize((width, height)) if i == place else ImageOps.fit(part, (width, height))
        result.paste(part, (i % 2 * width, i // 2 * height))
    left, top = place % 2 * width, place // 2 * height
    box = _fractions((left, top, left + width, top + height), result.size)
    return Made(result, Relation.COLLAGE, image_box=box)


def screenshot(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """Shown by a program: title, buttons, a list at the side, a line of text below."""
    width, height = round(1.5 * image.width), round(1.45 * image.height)
    result = Image.new("RGB", (width, height), "#f4f4f6")
    brush = ImageDraw.Draw(result)
    unit = max(2, width // 60)
    font = ImageFont.load_default(max(8, round(1.4 * unit)))
    brush.rectangle((0, 0, width, 4 * unit), fill="#2b3a55")
    brush.text((unit, unit), "Pictures   File  Edit  View  Help", "#e8ecf4", font)
    for i, colour in enumerate(("#e25c5c", "#e2b65c", "#6ac06a")):
        x = width - (3 * i + 3) * unit
        brush.ellipse((x, 1.2 * unit, x + 1.6 * unit, 2.8 * unit), fill=colour)
    brush.rectangle((0, 4 * unit, round(0.2 * width), height), fill="#dfe3ea")
    for i in range(9):
        brush.text((unit, (6 + 3 * i) * unit), f"Folder {i + 1}", "#334", font)
    left = round(rng.uniform(0.22, 0.3) * width)
    top = round(rng.uniform(0.14, 0.2) * height)
    result.paste(image, (left, top))
    brush.text((left, top + image.height + unit), "A picture - 12 of 345", "#556", font)
    edges = (left, top, left + image.width, top + image.height)
    return Made(result, Relation.PADDED, image_box=_fractions(edges, result.size))


def combined(image: Image.Image, rng: random.Random, others: list[Image.Image]) -> Made:
    """A mirrored part in grey, at half the size and JPEG quality 40."""
    part = cropped(0.5)(image, rng, others)
    small = resized(0.5)(ImageOps.mirror(part.image).convert("L").convert("RGB"), rng, others)
    return replace(part, image=encoded(small.image, 40), relation=Relation.MIRRORED)


VERSIONS: dict[str, Maker] = {
    "half size": resized(0.5),
    "1/8 size": resized(0.125),
    "JPEG quality 10": jpeg(10),
    "crop to 50 % area": cropped(0.5),
    "crop to 25 % area": cropped(0.25),
    "wider": wider,
    "watermark": watermark,
    "text overlay": text_overlay,
    "sticker": sticker,
    "border": border,
    "greyscale": greyscale,
    "colour shift": colour_shift,
    "contrast": contrast,
    "blur 1.5": blurred(1.5),
    "blur 3": blurred(3),
    "blur 6": blurred(6),
    "blur 12": blurred(12),
    "mirror": mirror,
    "rotation 90": rotated(90),
    "rotation 10": rotated(10),
    "collage 2x2": collage,
    "screenshot": screenshot,
    "mirrored grey crop": combined,
}
"""Every version, by name."""

STRONGEST_BLUR = "blur 12"
"""The version that no bar is asked of."""
