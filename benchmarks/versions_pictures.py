"""Distinct pictures for benchmarks of versions, and pairs that only look like versions."""

import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imagesearch_dev.drawings import draw, random_drawing
from imagesearch_dev.samples import photos

# Smaller ones have nothing left at an eighth of the size.
LEAST_SIDE = 160
_TILED = ("hubble_deep_field.jpg", "retina.jpg")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def distinct(folder: Path | None) -> dict[str, Image.Image]:
    """Real photos, none a version of another.

    Args:
        folder: Where more are, or None.
    """
    found = {}
    for name, image in photos().items():
        if min(image.size) < LEAST_SIDE:
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
    """Drawings of shapes, many with the same background."""
    rng = random.Random(5)
    return {f"drawing {i}": draw(random_drawing(rng), 256) for i in range(count)}


def faces() -> dict[str, Image.Image]:
    """100 faces of 25 x 25 pixels, cut alike, from Labeled Faces in the Wild."""
    import skimage

    subset = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")
    return {
        f"face {i}": Image.fromarray(np.rint(face * 255).astype(np.uint8)).convert("RGB")
        for i, face in enumerate(subset[:100])
    }


def look_alikes() -> list[tuple[str, Image.Image, Image.Image]]:
    """Pairs that are not the same picture, though much of them is the same or alike."""
    return [_stereo(), *_halves(), *_slides(), *_programs(), *_products()]


def _stereo() -> tuple[str, Image.Image, Image.Image]:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    left, right = (folder / f"motorcycle_{side}.png" for side in ("left", "right"))
    with Image.open(left) as a, Image.open(right) as b:
        return "another photo of the same scene", a.convert("RGB"), b.convert("RGB")


def _halves() -> list[tuple[str, Image.Image, Image.Image]]:
    """Two parts of one photo that do not overlap."""
    found = []
    for name, image in photos().items():
        if min(image.size) >= LEAST_SIDE and name not in _TILED:
            half = image.width // 2
            parts = (
                image.crop((0, 0, half, image.height)),
                image.crop((half, 0, 2 * half, image.height)),
            )
            found.append((f"halves of {name}", *parts))
    return found


def _slides() -> list[tuple[str, Image.Image, Image.Image]]:
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


def _programs() -> list[tuple[str, Image.Image, Image.Image]]:
    """Windows of one program that show other pictures."""
    from benchmarks.picture_versions import screenshot

    kinds = ("chelsea.png", "coffee.png", "china.jpg", "flower.jpg", "rocket.jpg")
    shown = [photos()[name].resize((480, 320)) for name in kinds]
    windows = [screenshot(image, random.Random(1), []).image for image in shown]
    return _all_pairs("windows of one program", windows)


def _products() -> list[tuple[str, Image.Image, Image.Image]]:
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


def _all_pairs(name: str, images: list[Image.Image]) -> list[tuple[str, Image.Image, Image.Image]]:
    return [(name, a, b) for i, a in enumerate(images) for b in images[i + 1 :]]
