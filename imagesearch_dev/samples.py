"""Sample pictures: photos that come with libraries, drawings, and versions of each."""

import random
from pathlib import Path

from PIL import Image

from imagesearch_dev.augment import VERSIONS
from imagesearch_dev.captions import Query, caption, describe
from imagesearch_dev.drawings import draw, random_drawing

SEED = 11
DRAWINGS = 240
SIDE = 256

VERSIONS_OF_PHOTOS = ("half", "crop", "watermark")

QUERY_IMAGE = "photos/chelsea.png"
"""The picture that the first search looks for: a cat."""

QUERY = Query(count=3, colour="green", shape="ring")
"""What the first text search looks for: five of the drawings show it."""

_DONE = ".complete"


def ensure(folder: Path) -> Path:
    """Makes the sample pictures if they are not there yet; gives their folder."""
    if not (folder / _DONE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write_photos(folder)
        _write_drawings(folder)
        (folder / _DONE).touch()
    return folder


def query_text(drawings_only: bool) -> str:
    """A text to search for: one that the tiny model knows, or one that CLIP does."""
    return caption(QUERY, "zh") if drawings_only else "一只猫"


def photos() -> dict[str, Image.Image]:
    """Photos that are installed with scikit-image and scikit-learn, by file name."""
    found = {}
    for folder, names in _photo_files().items():
        for name in names:
            if (folder / name).is_file():
                with Image.open(folder / name) as image:
                    found[name] = image.convert("RGB")
    return found


def _photo_files() -> dict[Path, tuple[str, ...]]:
    import skimage
    import sklearn

    return {
        Path(skimage.__file__).parent / "data": (
            "astronaut.png",
            "brick.png",
            "camera.png",
            "cell.png",
            "chelsea.png",
            "clock_motion.png",
            "coffee.png",
            "coins.png",
            "grass.png",
            "gravel.png",
            "horse.png",
            "hubble_deep_field.jpg",
            "ihc.png",
            "logo.png",
            "microaneurysms.png",
            "moon.png",
            "motorcycle_left.png",
            "page.png",
            "retina.jpg",
            "rocket.jpg",
            "text.png",
        ),
        Path(sklearn.__file__).parent / "datasets" / "images": ("china.jpg", "flower.jpg"),
    }


def _write_photos(folder: Path) -> None:
    (folder / "photos").mkdir(exist_ok=True)
    (folder / "photos" / "versions").mkdir(exist_ok=True)
    for name, image in photos().items():
        image.save(folder / "photos" / name)
        _write_versions(folder / "photos", name, image, VERSIONS_OF_PHOTOS)


def _write_drawings(folder: Path) -> None:
    (folder / "drawings").mkdir(exist_ok=True)
    (folder / "drawings" / "versions").mkdir(exist_ok=True)
    rng = random.Random(SEED)
    for number in range(DRAWINGS):
        drawing = random_drawing(rng)
        image = draw(drawing, SIDE)
        # The name is for people who look at results: nothing searches by it.
        words = caption(describe(drawing, frozenset(("count", "colour", "shape"))), "en")
        name = f"{number:03}-{words.replace(' ', '-')}.png"
        image.save(folder / "drawings" / name)
        if number % 10 == 0:
            _write_versions(folder / "drawings", name, image, VERSIONS_OF_PHOTOS)


def _write_versions(folder: Path, name: str, image: Image.Image, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        version = folder / "versions" / f"{Path(name).stem}-{kind}.jpg"
        VERSIONS[kind](image).save(version, quality=85)
