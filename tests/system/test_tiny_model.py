"""The model in the repository does what its card says, on what it was not trained with."""

from __future__ import annotations

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from imagesearch_dev import models, samples
from imagesearch_dev.captions import LANGUAGES
from imagesearch_dev.tiny_model import evaluation
from imagesearch_dev.tiny_model.evaluation import KINDS, Gallery

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def images() -> SentenceTransformer:
    return SentenceTransformer(models.TINY.image, device="cpu")


@pytest.fixture(scope="module")
def texts() -> SentenceTransformer:
    return SentenceTransformer(models.TINY.text, device="cpu")


@pytest.fixture(scope="module")
def drawings(images: SentenceTransformer) -> Gallery:
    return evaluation.gallery(images, count=1_000)


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_finds_held_out_drawings(
    texts: SentenceTransformer, drawings: Gallery, language: str
) -> None:
    scores = [evaluation.precision_at_5(texts, drawings, language, kind) for kind in KINDS]

    assert np.mean(scores) >= 0.9
    assert min(scores) >= 0.8


def test_versions_of_photos_are_closest_to_their_photo(images: SentenceTransformer) -> None:
    ranking = evaluation.version_ranking(images, list(samples.photos().values()))

    assert np.mean(list(ranking.values())) >= 0.9
    for name in samples.VERSIONS_OF_PHOTOS:
        assert ranking[name] >= 0.9, ranking


def test_it_is_small_enough_for_a_repository() -> None:
    files = [file for file in models.FOLDER.rglob("*") if file.is_file()]

    assert sum(file.stat().st_size for file in files) <= 8 * 1024 * 1024
