"""Classification with the tiny model: is it right in every language, and does it know its limits.

The gateway's own classifier on a served embedder. `measure` is a section for other benchmarks.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import Bar, Report, parser
from benchmarks.servers import serving_embedder
from gateway.classification.classifiers import Classifiers
from gateway.classification.labels import Label, Labels
from gateway.classification.zero_shot import Scores
from gateway.clients.embedder import Embedder, open_embedder
from gateway.settings import Settings
from imagesearch_dev import models
from imagesearch_dev.captions import LANGUAGES, Query, caption
from imagesearch_dev.drawings import SHAPES, UNSEEN_SHAPES, Drawing, draw, random_drawing
from imagesearch_dev.samples import photos
from imagesearch_dev.tiny_model import pictures
from imagesearch_dev.tiny_model.evaluation import HELD_OUT_SEED, SIDE
from service_kit.workers import Workers

HALF = SHAPES[::2]
"""Shapes that have labels, where the others are to be unknown."""

_MESSAGE_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Subject:
    """Pictures of one kind.

    Attributes:
        name: What they are.
        shapes: What each shows, where it is one of SHAPES.
        vectors: (N, d), unit length.
    """

    name: str
    shapes: Sequence[str]
    vectors: NDArray[np.float32]


async def measure(report: Report, embedder_address: str) -> None:
    """Adds the section: accuracy in five languages, and precision and recall of "unknown".

    Args:
        report: Gets bars and figures.
        embedder_address: An embedder with the tiny model.
    """
    count = 160 if report.quick else 800
    async with (
        open_embedder(embedder_address, _MESSAGE_BYTES) as opened,
        Workers("classify", 1) as workers,
    ):
        embedder = Embedder(opened, 60.0, 60.0)
        space = (await embedder.models())[0].space
        classifiers = Classifiers(embedder, workers, 1 << 26, Settings().unknown_least_share)
        drawn = await _drawings(embedder, count)
        others = await _others(embedder, count // 2)

        async def scores(labels: Labels, vectors: NDArray[np.float32]) -> Scores:
            return (await classifiers.of(labels, space)).scores(vectors)

        print(f"Accuracy on {count} held-out drawings of {len(SHAPES)} shapes")
        for language in LANGUAGES:
            told = await scores(labels_in(language), drawn.vectors)
            right = float(np.mean(_named(told, SHAPES) == np.array(drawn.shapes)))
            report.add(Bar(f"classification: accuracy, {language}", right, 0.9))
            plain = await scores(labels_in(language, counts=(1,), templates=()), drawn.vectors)
            right = float(np.mean(_named(plain, SHAPES) == np.array(drawn.shapes)))
            report.note(f"classification: accuracy, {language}, one text, default templates", right)

        print("Unknown, against as many drawings that have a label")
        labelled = np.isin(drawn.shapes, HALF)
        known, absent = drawn.vectors[labelled], drawn.vectors[~labelled]
        half = labels_in("en", HALF)
        full = labels_in("en")
        for name, labels, ins, outs in (
            ("a shape without a label", half, known, absent),
            *((f"{each.name}, 4 labels", half, known, each.vectors) for each in others),
            *((f"{each.name}, 8 labels", full, drawn.vectors, each.vectors) for each in others),
        ):
            size = min(len(ins), len(outs))
            told_in, told_out = await scores(labels, ins[:size]), await scores(labels, outs[:size])
            _note(report, name, _unknown(told_in), _unknown(told_out))
            _note(report, f"{name} (softmax below 0.5)", _unsure(told_in), _unsure(told_out))


def labels_in(
    language: str,
    shapes: Sequence[str] = SHAPES,
    counts: Sequence[int] = (1, 2, 3, 4),
    templates: tuple[str, ...] = ("{}",),
) -> Labels:
    """The shapes in one language, described by their numbers."""
    return Labels(
        tuple(
            Label(
                shape,
                tuple(caption(Query(count=count, shape=shape), language) for count in counts),
                {},
            )
            for shape in shapes
        ),
        templates,
    )


def _named(scores: Scores, shapes: Sequence[str]) -> NDArray[np.str_]:
    """(N,): the likeliest label of each, "" where that is unknown."""
    best = np.array(shapes)[scores.probabilities.argmax(1)]
    return np.where(_unknown(scores), "", best)


def _unknown(scores: Scores) -> NDArray[np.bool_]:
    return np.asarray(scores.unknown > scores.probabilities.max(1))


def _unsure(scores: Scores) -> NDArray[np.bool_]:
    """The guess that this replaces: a softmax over the labels alone whose best is below a half."""
    alone = scores.probabilities / scores.probabilities.sum(1, keepdims=True)
    return np.asarray(alone.max(1) < 0.5)


def _note(report: Report, name: str, known: NDArray[np.bool_], others: NDArray[np.bool_]) -> None:
    """Notes precision and recall of "unknown".

    Args:
        report: Gets them.
        name: What is to be unknown.
        known: (N,): called unknown, of images that have a label.
        others: (N,): called unknown, of images that have none.
    """
    called = int(known.sum() + others.sum())
    precision = float(others.sum() / called) if called else float("nan")
    report.note(f"unknown: {name}: precision", precision)
    report.note(f"unknown: {name}: recall", float(others.mean()))


async def _drawings(embedder: Embedder, count: int) -> Subject:
    rng = random.Random(HELD_OUT_SEED)
    shown = [replace(random_drawing(rng), shape=SHAPES[n % len(SHAPES)]) for n in range(count)]
    return await _embedded(embedder, "drawings", _drawn(shown), [each.shape for each in shown])


async def _others(embedder: Embedder, count: int) -> list[Subject]:
    rng = random.Random(HELD_OUT_SEED + 1)
    unseen = [
        replace(random_drawing(rng), shape=UNSEEN_SHAPES[n % len(UNSEEN_SHAPES)])
        for n in range(count)
    ]
    textures = pictures.textures(count // pictures.ALIKE * pictures.ALIKE, seed=HELD_OUT_SEED)
    natural = [Image.fromarray(each.numpy().transpose(1, 2, 0)) for each in textures]
    kinds = {
        "a shape never seen": _drawn(unseen),
        "a photo": _crops(count, rng),
        "a texture": natural,
    }
    return [await _embedded(embedder, name, shown) for name, shown in kinds.items()]


def _drawn(shown: Sequence[Drawing]) -> list[Image.Image]:
    return [draw(drawing, SIDE) for drawing in shown]


def _crops(count: int, rng: random.Random) -> list[Image.Image]:
    """Parts of the photos that come with libraries."""
    found = list(photos().values())
    crops = []
    for number in range(count):
        photo = found[number % len(found)]
        side = int(min(photo.size) * rng.uniform(0.4, 1))
        left, top = rng.randint(0, photo.width - side), rng.randint(0, photo.height - side)
        crops.append(photo.crop((left, top, left + side, top + side)).resize((SIDE, SIDE)))
    return crops


async def _embedded(
    embedder: Embedder, name: str, shown: Sequence[Image.Image], shapes: Sequence[str] = ()
) -> Subject:
    async with embedder.bulk() as bulk:

        async def vector(image: Image.Image) -> NDArray[np.float32]:
            buffer = BytesIO()
            image.save(buffer, "PNG", compress_level=1)
            made = await bulk.embed_image(buffer.getvalue(), "image")
            return np.array(made.values, dtype=np.float32)

        vectors = await asyncio.gather(*map(vector, shown))
    return Subject(name, shapes, np.stack(vectors))


async def run(report: Report) -> None:
    """Measures with an embedder of its own."""
    image, text = Path(models.TINY.image), Path(models.TINY.text)
    async with serving_embedder(image, text, "float32") as (address, _):
        await measure(report, address)


async def main() -> None:
    """Runs the section alone."""
    options = parser("classification", __doc__).parse_args()
    report = Report("classification", options.quick)
    await run(report)
    report.write(options.json)


if __name__ == "__main__":
    asyncio.run(main())
