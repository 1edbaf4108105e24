"""imagesearch_dev: drawings are what their descriptions say, and versions are versions."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from imagesearch_dev.augment import VERSIONS, cropped
from imagesearch_dev.captions import LANGUAGES, Query, caption, describe
from imagesearch_dev.drawings import COLOURS, Drawing, draw, random_drawing

PLAIN = Drawing(1, "red", "circle", "top left", "plain", "white", seed=1)


def near(image: Image.Image, colour: str) -> np.ndarray:
    """Which pixels have about this colour."""
    distance = np.asarray(image).astype(int) - COLOURS[colour]
    return (np.abs(distance).max(-1) < 60).astype(np.float64)


def test_the_same_drawing_is_the_same_picture() -> None:
    assert draw(PLAIN, 96).tobytes() == draw(PLAIN, 96).tobytes()
    assert draw(PLAIN, 96).tobytes() != draw(Drawing(**{**vars(PLAIN), "seed": 2}), 96).tobytes()


@pytest.mark.parametrize(
    ("position", "x", "y"),
    [("centre", 0.5, 0.5), ("top right", 0.73, 0.27), ("bottom left", 0.27, 0.73)],
)
def test_a_shape_is_where_it_should_be(position: str, x: float, y: float) -> None:
    for seed in range(10):
        drawing = Drawing(1, "red", "square", position, "plain", "white", seed)
        mask = near(draw(drawing, 100), "red")
        rows, columns = np.nonzero(mask)

        assert columns.mean() / 100 == pytest.approx(x, abs=0.06)
        assert rows.mean() / 100 == pytest.approx(y, abs=0.06)


def test_more_shapes_cover_more() -> None:
    def covered(count: int) -> float:
        drawings = (Drawing(count, "blue", "square", "", "plain", "white", s) for s in range(10))
        return float(np.mean([near(draw(each, 100), "blue").mean() for each in drawings]))

    assert covered(2) < covered(3) < covered(4)


def test_a_query_fits_what_it_describes() -> None:
    rng = random.Random(1)
    parts = frozenset(("count", "colour", "shape"))
    shown = [random_drawing(rng) for _ in range(300)]
    query = Query(count=2, colour="red", shape="circle")

    for drawing in shown:
        assert describe(drawing, parts).fits(drawing)
        same = (drawing.count, drawing.colour, drawing.shape) == (2, "red", "circle")
        assert query.fits(drawing) == same


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        (
            Query(count=2, colour="red", shape="circle"),
            ["two red circles", "两个红色的圆形", "dos círculos rojos", "zwei rote Kreise"],
        ),
        (Query(count=1, colour="orange", shape="star"), ["an orange star"]),
    ],
)
def test_descriptions_read_as_people_write(query: Query, texts: list[str]) -> None:
    for language, text in zip(LANGUAGES, texts, strict=False):
        assert caption(query, language) == text


def test_every_drawing_has_a_different_text_in_every_language() -> None:
    rng = random.Random(2)
    parts = frozenset(("count", "colour", "shape", "position", "texture", "background"))
    queries = {describe(random_drawing(rng), parts) for _ in range(400)}
    for language in LANGUAGES:
        assert len({caption(query, language) for query in queries}) == len(queries)


@pytest.mark.parametrize("name", VERSIONS)
def test_a_version_is_another_picture_of_the_same_thing(name: str) -> None:
    image = draw(PLAIN, 200)

    version = VERSIONS[name](image)

    assert version.mode == "RGB"
    assert version.tobytes() != image.tobytes()
    small = [np.asarray(each.resize((8, 8))).astype(float) for each in (image, version)]
    assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.5


def test_a_crop_keeps_the_area_it_should() -> None:
    image = Image.new("RGB", (400, 300))

    width, height = cropped(image, 0.25, x=1.0, y=0.0).size

    assert (width, height) == (200, 150)
