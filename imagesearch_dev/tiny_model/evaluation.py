"""What the tiny model can do, measured on what it has not seen in training."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sentence_transformers import SentenceTransformer

from imagesearch_dev.augment import VERSIONS
from imagesearch_dev.captions import LANGUAGES, Query, caption, describe
from imagesearch_dev.drawings import Drawing, draw, random_drawing

HELD_OUT_SEED = 20_231
"""Drawings of this seed are not those of training."""

SIDE = 160

KINDS = tuple(
    frozenset(parts.split())
    for parts in (
        "count colour shape",
        "count shape",
        "colour",
        "count shape position",
        "count colour shape texture",
        "count colour shape background",
        "texture background",
    )
)
"""What the queries say."""


@dataclass(frozen=True)
class Gallery:
    """Drawings to search, and their vectors.

    Attributes:
        shown: What they show.
        vectors: (len(shown), dimensions), unit length.
    """

    shown: Sequence[Drawing]
    vectors: NDArray[np.float32]


def gallery(images: SentenceTransformer, count: int = 2_000) -> Gallery:
    """Draws held-out pictures and embeds them."""
    rng = random.Random(HELD_OUT_SEED)
    shown = [random_drawing(rng) for _ in range(count)]
    return Gallery(shown, _vectors(images, [draw(each, SIDE) for each in shown]))


def precision_at_5(
    texts: SentenceTransformer, searched: Gallery, language: str, kind: frozenset[str]
) -> float:
    """How many of the first five drawings found fit the query, on average.

    Queries are all descriptions of one kind that at least five drawings fit, 200 at most.

    Args:
        texts: The text model.
        searched: Where to search.
        language: One of LANGUAGES.
        kind: What the queries say: fields of Query.
    """
    queries = _queries(searched.shown, kind)
    found = _vectors(texts, [caption(query, language) for query in queries]) @ searched.vectors.T
    best = np.argsort(-found, axis=1)[:, :5]
    hits = [
        query.fits(searched.shown[int(i)])
        for query, row in zip(queries, best, strict=True)
        for i in row
    ]
    return float(np.mean(hits))


def _queries(shown: Sequence[Drawing], kind: frozenset[str]) -> list[Query]:
    distinct = list(dict.fromkeys(describe(each, kind) for each in shown))
    enough = [query for query in distinct if sum(map(query.fits, shown)) >= 5]
    return random.Random(HELD_OUT_SEED).sample(enough, min(200, len(enough)))


def version_ranking(images: SentenceTransformer, photos: Sequence[Image.Image]) -> dict[str, float]:
    """How often a version of a photo is closer to it than every other photo and its versions.

    Args:
        images: The image model.
        photos: Different pictures.

    Returns:
        By the name of the version, the share of photos of which that is so.
    """
    originals = _vectors(images, photos)
    versions = {
        name: _vectors(images, [make(photo) for photo in photos]) for name, make in VERSIONS.items()
    }
    others = np.stack([originals, *versions.values()])  # (versions + 1, photos, dimensions)
    to_all = np.einsum("pd,vqd->pvq", originals, others)
    for number in range(len(photos)):
        to_all[number, :, number] = -1
    closest_other = to_all.max(axis=(1, 2))
    return {
        name: float(np.mean((originals * vectors).sum(1) > closest_other))
        for name, vectors in versions.items()
    }


def report(
    images: SentenceTransformer, texts: SentenceTransformer, photos: Sequence[Image.Image]
) -> str:
    """Measures everything; gives tables in Markdown."""
    searched = gallery(images)
    lines = [f"Precision@5 of text queries on {len(searched.shown)} held-out drawings:", ""]
    lines += ["| the query says | " + " | ".join(LANGUAGES) + " |"]
    lines += ["| --- |" + " --- |" * len(LANGUAGES)]
    scores = {
        (kind, language): precision_at_5(texts, searched, language, kind)
        for kind in KINDS
        for language in LANGUAGES
    }
    for kind in KINDS:
        row = " | ".join(f"{scores[kind, language]:.3f}" for language in LANGUAGES)
        lines.append(f"| {' '.join(sorted(kind))} | {row} |")
    means = (np.mean([scores[kind, language] for kind in KINDS]) for language in LANGUAGES)
    lines.append("| **mean** | " + " | ".join(f"**{mean:.3f}**" for mean in means) + " |")
    lines += [
        "",
        f"Versions of {len(photos)} photos: how often one is closer to its photo than every other",
        "photo and every version of another. The photos were not trained on, but they told when",
        "to stop:",
    ]
    lines += ["", "| version | share |", "| --- | --- |"]
    lines += [
        f"| {name} | {share:.3f} |" for name, share in version_ranking(images, photos).items()
    ]
    return "\n".join(lines)


def load(folder: Path) -> SentenceTransformer:
    """Loads a model for the processor."""
    return SentenceTransformer(str(folder), device="cpu")


def _vectors(
    model: SentenceTransformer, items: Sequence[Image.Image] | Sequence[str]
) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = model.encode(
        list(items), batch_size=64, normalize_embeddings=True, show_progress_bar=False
    )
    return vectors
