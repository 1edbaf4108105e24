"""Distinct pictures for benchmarks of versions, and pairs that only look like versions."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imagesearch_dev.drawings import draw, random_drawing
from imagesearch_dev.samples import photos

# Smaller ones have nothing left at an eighth of the size.
LEAST_SIDE = 160
_GRAPHICS = ("horse.png", "logo.png")  # a silhouette and a drawn sign: no photos
_TILED = ("hubble_deep_field.jpg", "retina.jpg")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class LookAlike:
    """A pair that is not the same picture, though much of it is the same or alike.

    Attributes:
        kind: Why it looks alike.
        first: One.
        second: The other.
        shows: Names of the photos, as of `distinct`, that the first and the second show.
    """

    kind: str
    first: Image.Image
    second: Image.Image
    shows: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())


def distinct(folder: Path | None) -> dict[str, Image.Image]:
    """Real photos, none a version of another.

    Args:
        folder: Where more are, or None.
    """
    found: dict[str, Image.Image] = {}
    for name, image in photos().items():
        if min(image.size) < LEAST_SIDE or name in _GRAPHICS:
            continue
        if name in _TILED:
            found |= {f"{name} {i}": tile for i, tile in enumerate(tiles(image))}
        else:
            found[name] = image
    found |= _of_pywavelets()
    for file in sorted(folder.rglob("*")) if folder else ():
        if file.suffix.lower() in _SUFFIXES:
            with Image.open(file) as opened:
                image = opened.convert("RGB")
            image.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
            if min(image.size) >= LEAST_SIDE:
                found[str(file.relative_to(folder or file))] = image
    return found


def tiles(image: Image.Image) -> list[Image.Image]:
    """The four quarters of a picture: distinct pictures of one kind."""
    width, height = image.width // 2, image.height // 2
    return [image.crop((x, y, x + width, y + height)) for y in (0, height) for x in (0, width)]


def _of_pywavelets() -> dict[str, Image.Image]:
    """Two more photos, grey, that come with PyWavelets, which ImageHash brings."""
    import pywt.data

    found = {"aero": pywt.data.aero(), "ascent": pywt.data.ascent()}
    return {
        name: Image.fromarray(np.asarray(pixels, np.uint8)).convert("RGB")
        for name, pixels in found.items()
    }


def drawings(count: int) -> dict[str, Image.Image]:
    """Drawings of shapes, many with the same background, and graphics."""
    rng = random.Random(5)
    drawn = {f"drawing {i}": draw(random_drawing(rng), 256) for i in range(count)}
    return drawn | {name: image for name, image in photos().items() if name in _GRAPHICS}


def faces() -> dict[str, Image.Image]:
    """100 faces of 25 x 25 pixels, cut alike, from Labeled Faces in the Wild."""
    import skimage

    subset = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")
    return {
        f"face {i}": Image.fromarray(np.rint(face * 255).astype(np.uint8)).convert("RGB")
        for i, face in enumerate(subset[:100])
    }


def look_alikes() -> list[LookAlike]:
    """Pairs that are not the same picture, though much of them is the same or alike."""
    return [_stereo(), *_halves(), *_slides(), *_programs(), *_products()]


def _stereo() -> LookAlike:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    left, right = (folder / f"motorcycle_{side}.png" for side in ("left", "right"))
    with Image.open(left) as a, Image.open(right) as b:
        return LookAlike(
            "another photo of the same scene",
            a.convert("RGB"),
            b.convert("RGB"),
            (frozenset([left.name]), frozenset()),
        )


def _halves() -> list[LookAlike]:
    """Two parts of one photo that do not overlap."""
    found = []
    for name, image in photos().items():
        if min(image.size) >= LEAST_SIDE and name not in _TILED:
            half = image.width // 2
            first = image.crop((0, 0, half, image.height))
            second = image.crop((half, 0, 2 * half, image.height))
            shows = frozenset([name]), frozenset([name])
            found.append(LookAlike("halves of one photo", first, second, shows))
    return found


def _slides() -> list[LookAlike]:
    """Slides with the same frame and other words."""
    words = [
        "alpha",
        "river",
        "stone",
        "market",
        "signal",
        "garden",
        "winter",
        "copper",
        "letter",
        "island",
    ]
    made = []
    for seed in range(6):
        rng = random.Random(seed)
        slide = Image.new("RGB", (640, 400), "#fbfbf8")
        brush = ImageDraw.Draw(slide)
        brush.rectangle((0, 0, 640, 50), fill="#204060")
        brush.ellipse((590, 8, 624, 42), fill="#e0a030")
        brush.text((16, 14), "Quarterly report", "white", ImageFont.load_default(22))
        for line in range(6):
            text = " ".join(rng.choice(words) for _ in range(5))
            brush.text((30, 80 + 45 * line), text, "#222", ImageFont.load_default(20))
        made.append(slide)
    return _all_pairs("slides of one frame", made)


def _programs() -> list[LookAlike]:
    """Windows of one program that show other pictures."""
    from benchmarks.picture_versions import screenshot

    kinds = ("chelsea.png", "coffee.png", "china.jpg", "flower.jpg", "rocket.jpg")
    shown = [photos()[name].resize((480, 320)) for name in kinds]
    windows = [screenshot(image, random.Random(1), []).image for image in shown]
    return _all_pairs("windows of one program", windows, [frozenset([name]) for name in kinds])


def _products() -> list[LookAlike]:
    """Bottles of one maker on white that differ in their labels and colours alone."""
    made = []
    for seed in range(6):
        rng = random.Random(seed)
        product = Image.new("RGB", (400, 500), "white")
        brush = ImageDraw.Draw(product)
        hue = rng.randrange(360)
        brush.rounded_rectangle((130, 120, 270, 470), 24, fill=f"hsl({hue}, 45%, 45%)")
        brush.rectangle((175, 60, 225, 125), fill=f"hsl({hue}, 30%, 30%)")
        brush.rectangle((140, 230, 260, 380), fill="#f6f0e0")
        brush.text((152, 245), "MAISON", "#333", ImageFont.load_default(24))
        name = rng.choice(("Lemon", "Thyme", "Rose", "Mint", "Cedar", "Amber")) + f" {seed}"
        brush.text((152, 290), name, "#333", ImageFont.load_default(26))
        for _ in range(5):
            x, y = rng.randint(150, 240), rng.randint(330, 365)
            brush.ellipse((x, y, x + 12, y + 12), fill=f"hsl({rng.randrange(360)}, 70%, 50%)")
        made.append(product)
    return _all_pairs("products that differ by their label", made)


def _all_pairs(
    kind: str, images: list[Image.Image], shows: list[frozenset[str]] | None = None
) -> list[LookAlike]:
    known = shows or [frozenset[str]()] * len(images)
    both = list(zip(images, known, strict=True))
    return [
        LookAlike(kind, a, b, (in_a, in_b))
        for i, (a, in_a) in enumerate(both)
        for b, in_b in both[i + 1 :]
    ]
