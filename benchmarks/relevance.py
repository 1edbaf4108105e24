r"""Relevance against raw scores: which tells better whether an index has what is asked for?

    python -m benchmarks.relevance [--quick] [--json FILE]

Three indexes with the tiny model: drawings without some kinds of shapes, parts of photos without
some of the photos, and both together. Queries by image and by text, in five languages, with and
without a match; all together, as a cut-off would have to take them.
"""

import argparse
import asyncio
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from PIL import Image

import gateway.server
import gateway.settings
from benchmarks.report import Bar, Report, parser
from benchmarks.servers import elasticsearch, serving_embedder, serving_search
from imagesearch_client import AsyncClient, term, upload
from imagesearch_dev import models
from imagesearch_dev.captions import LANGUAGES, Query, caption, describe
from imagesearch_dev.drawings import SHAPES, Drawing, draw, random_drawing
from imagesearch_dev.samples import photos
from service_kit.telemetry import configure_logging

HELD_OUT_SHAPES = ("moon", "heart")
SIDE = 160
AT_ONCE = 8

KINDS = (
    frozenset(("count", "colour", "shape")),
    frozenset(("count", "shape")),
    frozenset(("count", "shape", "position")),
    frozenset(("colour",)),
)
"""What texts say of drawings."""

FOREIGN = (
    "stock market quotations of yesterday",
    "people dancing at a wedding",
    "a plate of spaghetti with tomato sauce",
    "一群人在海滩上打排球",
    "昨天的天气预报",
    "un perro corre por la playa",
    "la bolsa de valores de Madrid",
    "ein Auto steht auf der Straße",
    "die Rechnung vom letzten Monat",
    "une réunion de travail au bureau",
    "des enfants jouent dans la neige",
)
"""Texts that fit no picture of any of the indexes."""


UNKNOWN = "text, of drawings among photos"
"""The tiny model has never seen a photo described: what texts score there is chance."""


@dataclass(frozen=True)
class Asked:
    """A query, and whether the index has what it asks for.

    Attributes:
        index: Where.
        group: What kind of query it is.
        there: The index has a match.
        term: What is asked.
    """

    index: str
    group: str
    there: bool
    term: queries_pb.QueryTerm


@dataclass(frozen=True)
class Told:
    """What the best result of a query said."""

    asked: Asked
    score: float
    relevance: float
    nothing_matches: bool


def png(image: Image.Image) -> bytes:
    """An encoded image."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@dataclass(frozen=True)
class Material:
    """What the indexes hold, and what they do not.

    Attributes:
        drawings: In the index; none of a held-out shape.
        held_out: Drawings of the held-out shapes.
        photos: Whose parts are in the index.
        held_out_photos: Whose parts are not.
    """

    drawings: Sequence[Drawing]
    held_out: Sequence[Drawing]
    photos: dict[str, Image.Image]
    held_out_photos: dict[str, Image.Image]


def material(count: int) -> Material:
    """Makes it up: `count` drawings in the index."""
    rng = random.Random(17)
    kept: list[Drawing] = []
    held: list[Drawing] = []
    while len(kept) < count:
        drawing = random_drawing(rng)
        (held if drawing.shape in HELD_OUT_SHAPES else kept).append(drawing)
    every = photos()
    names = sorted(every)
    for image in every.values():
        image.thumbnail((512, 512))
    return Material(
        kept,
        held,
        {name: every[name] for i, name in enumerate(names) if i % 3},
        {name: every[name] for i, name in enumerate(names) if not i % 3},
    )


def parts(image: Image.Image, count: int, rng: random.Random) -> Iterator[Image.Image]:
    """Cuts parts out of a photo: 0.3 to 0.9 of each side."""
    for _ in range(count):
        share = rng.uniform(0.3, 0.9)
        width, height = round(image.width * share), round(image.height * share)
        left = rng.randint(0, image.width - width)
        top = rng.randint(0, image.height - height)
        yield image.crop((left, top, left + width, top + height))


def indexes(of: Material, parts_a_photo: int) -> dict[str, list[bytes]]:
    """The images of each index."""
    rng = random.Random(18)
    drawn = [png(draw(each, SIDE)) for each in of.drawings]
    cut = [png(part) for photo in of.photos.values() for part in parts(photo, parts_a_photo, rng)]
    return {"drawings": drawn, "photos": cut, "mixed": [*drawn[: len(cut)], *cut]}


def queries(of: Material, shown: dict[str, Sequence[Drawing]], each: int) -> Iterator[Asked]:
    """All queries, `each` of a group.

    Args:
        of: What there is.
        shown: The drawings of each index.
        each: Texts of a kind and language, drawings of a group.
    """
    for index, drawings in shown.items():
        yield from text_queries(index, of, drawings, each)
        yield from image_queries(index, of, drawings, each)


def text_queries(
    index: str, of: Material, drawings: Sequence[Drawing], each: int
) -> Iterator[Asked]:
    """Captions of drawings that are there and that are not, and texts of other things."""
    rng = random.Random(19)
    for kind in KINDS:
        described = sorted({describe(d, kind) for d in (*of.drawings, *of.held_out)}, key=repr)
        picked = rng.sample(described, min(2 * each, len(described)))
        for language in LANGUAGES:
            for query in picked:
                there = any(query.fits(drawing) for drawing in drawings)
                words = term(caption(query, language))
                yield Asked(index, group_of(query, drawings, there), there, words)
    for text in FOREIGN:
        yield Asked(index, "text, of other things", False, term(text))


def group_of(query: Query, drawings: Sequence[Drawing], there: bool) -> str:
    """Texts with a match, with drawings that fit in part, and with nothing of the kind."""
    if there:
        return "text, with a match"
    return "text, of absent drawings" if drawings else UNKNOWN


def image_queries(
    index: str, of: Material, drawings: Sequence[Drawing], each: int
) -> Iterator[Asked]:
    """Whole photos, and drawings of a description that is there or of a shape that is not."""
    rng = random.Random(20)
    has_photos = index != "drawings"
    for photo in of.photos.values():
        group = "image, with a match" if has_photos else "image, of other things"
        yield Asked(index, group, has_photos, term(image=png(photo)))
    for photo in of.held_out_photos.values():
        group = "image, of an absent photo" if has_photos else "image, of other things"
        yield Asked(index, group, False, term(image=png(photo)))
    for drawing in rng.sample(list(drawings or of.drawings), 4 * each):
        again = draw(redrawn(drawing, rng), SIDE)
        group = "image, with a match" if drawings else "image, of other things"
        yield Asked(index, group, bool(drawings), term(image=png(again)))
    for drawing in rng.sample(list(of.held_out), 4 * each):
        group = "image, of an absent shape" if drawings else "image, of other things"
        yield Asked(index, group, False, term(image=png(draw(drawing, SIDE))))


def redrawn(drawing: Drawing, rng: random.Random) -> Drawing:
    """Another drawing of the same description."""
    assert drawing.shape in SHAPES
    return Drawing(
        drawing.count,
        drawing.colour,
        drawing.shape,
        drawing.position,
        drawing.texture,
        drawing.background,
        rng.getrandbits(32),
    )


async def ask(client: AsyncClient, asked: Sequence[Asked]) -> list[Told]:
    """Asks all queries, a few at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: Asked) -> Told:
        async with room:
            found = await client.search_images(
                each.term, index=each.index, k=1, with_relevance=True, fields=["image_id"]
            )
        best = found.results[0]
        return Told(each, best.score, best.relevance, found.nothing_matches)

    return await asyncio.gather(*map(one, asked))


def auc(yes: Sequence[float], no: Sequence[float]) -> float:
    """How often what has a match is above what has none; ties count half."""
    one, other = np.sort(np.array(yes)), np.sort(np.array(no))
    below = np.searchsorted(other, one, "left") + np.searchsorted(other, one, "right")
    return float(below.sum() / 2 / (len(one) * len(other)))


def judge(report: Report, told: Sequence[Told]) -> None:
    """Compares, overall and by kind of query."""
    groups = sorted({each.asked.group for each in told})
    for group in groups:
        some = [each for each in told if each.asked.group == group]
        told_so = sum(each.nothing_matches for each in some)
        middle = float(np.median([each.relevance for each in some]))
        raw = float(np.median([each.score for each in some]))
        report.note(
            group,
            f"{len(some)} queries, median score {raw:.2f}, median relevance {middle:.3f}, "
            f"'nothing matches' {told_so / len(some):.3f}",
        )
    yes = [each for each in told if each.asked.there]
    no = [each for each in told if not each.asked.there]
    known = [each for each in no if each.asked.group != UNKNOWN]
    foreign = [each for each in known if "absent" not in each.asked.group]
    for name, against in (("all", no), ("what the model knows", known)):
        by_score = auc(scores(yes), scores(against))
        by_relevance = auc(relevances(yes), relevances(against))
        report.note(f"AUC of the raw score against queries without a match, {name}", by_score)
        note = f"raw score {by_score:.3f}"
        bound = 0.9 if against is no else 0.95
        report.add(Bar(f"AUC of relevance, {name}", by_relevance, bound, note=note))
    for kind in ("text", "image"):
        one, other = of_kind(yes, kind), of_kind(no, kind)
        report.note(f"AUC of the raw score, {kind}s alone", auc(scores(one), scores(other)))
        report.note(f"AUC of relevance, {kind}s alone", auc(relevances(one), relevances(other)))
    said = [each for each in told if each.nothing_matches]
    right = sum(not each.asked.there for each in said)
    report.add(Bar("precision of 'nothing matches'", right / max(1, len(said)), 0.95))
    found = sum(each.nothing_matches for each in foreign)
    report.add(Bar("its recall, queries of other things", found / len(foreign), 0.9))
    report.note("its recall, all queries without a match", right / len(no))
    told_so = sum(each.nothing_matches for each in known)
    report.note("its recall, all that the model knows", told_so / len(known))
    best = max(right_at(told, cut) for cut in np.quantile(scores(told), QUANTILES))
    same = sum(each.nothing_matches != each.asked.there for each in told) / len(told)
    report.note("answers that are right, best flat cut-off of the raw score", best)
    report.note("answers that are right, 'nothing matches'", same)


QUANTILES = np.linspace(0, 1, 201)


def of_kind(told: Iterable[Told], kind: str) -> list[Told]:
    """Those by text, or by image."""
    return [each for each in told if each.asked.group.startswith(kind)]


def scores(told: Iterable[Told]) -> list[float]:
    """Raw scores."""
    return [each.score for each in told]


def relevances(told: Iterable[Told]) -> list[float]:
    """Relevances."""
    return [each.relevance for each in told]


def right_at(told: Sequence[Told], cut: float) -> float:
    """How many a flat cut-off of the raw score gets right."""
    return sum((each.score >= cut) == each.asked.there for each in told) / len(told)


async def measure(report: Report, quick: bool) -> None:
    """Fills the indexes, asks, judges."""
    of = material(400 if quick else 2_000)
    contents = indexes(of, 25 if quick else 60)
    async with AsyncExitStack() as stack:
        url = stack.enter_context(elasticsearch("512m"))
        search = await stack.enter_async_context(serving_search(url))
        embedder, _ = await stack.enter_async_context(
            serving_embedder(Path(models.TINY.image), Path(models.TINY.text), "auto")
        )
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = gateway.settings.Settings(
            listen="127.0.0.1:0",
            embedder=embedder,
            search=search,
            store_url=Path(folder).as_uri(),
            log_level="WARNING",
        )
        port = await stack.enter_async_context(gateway.server.running(settings))
        client = await stack.enter_async_context(AsyncClient(f"127.0.0.1:{port}"))
        for index, images in contents.items():
            uploads = (upload(content) for content in images)
            stored = [each async for each in client.index_images(uploads, index=index)]
            assert all(each.error is None for each in stored)
            report.note(f"images in {index}", len(stored))
        in_mixed = len(contents["photos"])
        shown = {"drawings": of.drawings, "photos": (), "mixed": of.drawings[:in_mixed]}
        asked = list(queries(of, shown, 8 if quick else 30))
        judge(report, await ask(client, asked))


def main() -> None:
    """Runs the benchmark."""
    chosen: argparse.Namespace = parser("relevance", __doc__).parse_args()
    configure_logging("WARNING", "console", "gateway")
    report = Report("relevance", chosen.quick)
    asyncio.run(measure(report, chosen.quick))
    report.write(chosen.json)


if __name__ == "__main__":
    main()
