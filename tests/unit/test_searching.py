"""The pure parts of composed search: folding, explaining, relevance, page tokens."""

from __future__ import annotations

import numpy as np
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import queries_pb2 as pb

from gateway import paging, relevance
from gateway.composing import IMAGE, TEXT, Resolved, read_terms
from gateway.explaining import explain, unit_rows
from gateway.folding import fold
from gateway.levels import Levels
from gateway.paging import Found, Place
from service_kit.errors import InvalidRequestError, Violations
from tests.helpers import unit_vector

LEVELS = Levels(text=0.3, image=0.9)


def resolved(seed: int, weight: float = 1.0, kind: str = IMAGE) -> Resolved:
    vector = types.Vector(values=unit_vector(seed), space="s")
    return Resolved(kind, f"terms[{seed}].image", weight, vector)


def background(median: float, spread: float) -> list[float]:
    """Percentiles of normal scores, without a tail."""
    rng = np.random.default_rng(1)
    return np.percentile(rng.normal(median, spread, 5000), np.arange(101)).tolist()


def scale_of(
    median: float, spread: float, *terms: Resolved, medians: list[float] | None = None
) -> relevance.Scale:
    found = medians or [median] * len(terms)
    return relevance.scale(background(median, spread), found, 1000, terms, LEVELS)


class TestRelevance:
    @pytest.mark.parametrize(("kind", "median", "level"), [(TEXT, 0.1, 0.3), (IMAGE, 0.4, 0.9)])
    def test_fitting_images_are_relevant_and_typical_ones_are_not(
        self, kind: str, median: float, level: float
    ) -> None:
        scale = scale_of(median, 0.02, resolved(1, kind=kind))

        assert scale.relevance(level) == pytest.approx(0.9, abs=0.01)
        assert scale.relevance(scale.even) == pytest.approx(0.5)
        assert scale.relevance(median) < 0.001

    def test_relevance_grows_with_the_score_and_can_be_turned_round(self) -> None:
        scale = scale_of(0.4, 0.1, resolved(1))
        scores = np.linspace(-1, 1, 50)

        relevances = [scale.relevance(score) for score in scores]
        assert relevances == sorted(relevances)
        for wanted in (0.01, 0.3, 0.5, 0.9):
            assert scale.relevance(scale.score(wanted)) == pytest.approx(wanted)
        assert (scale.score(0), scale.score(1)) == (-1, 1)

    def test_an_index_that_is_all_about_the_query_matches_it(self) -> None:
        """The median is then no background: what it scores is what was looked for."""
        assert scale_of(0.88, 0.01, resolved(1)).relevance(0.9) > 0.8

    def test_a_wide_background_asks_for_more(self) -> None:
        narrow, wide = scale_of(0.4, 0.05, resolved(1)), scale_of(0.4, 0.4, resolved(1))
        assert wide.even > narrow.even
        assert wide.even < LEVELS.image

    def test_negative_terms_expect_no_likeness(self) -> None:
        """An image that fits one term and has nothing to do with the other is relevant."""
        like, unlike = resolved(1, kind=TEXT), resolved(2, -1.0, kind=TEXT)
        scale = scale_of(0.0, 0.02, like, unlike, medians=[0.1, 0.1])

        assert scale.relevance((0.3 - 0.1) / 2) > 0.8
        assert scale.relevance((0.3 - 0.3) / 2) < 0.1  # it is like both

    def test_nothing_but_negative_terms_measures_against_the_sample(self) -> None:
        scale = scale_of(-0.1, 0.02, resolved(1, -1.0, kind=TEXT))
        assert scale.relevance(-0.1) < 0.1
        assert scale.relevance(0.1) > 0.9

    def test_an_empty_index_has_a_scale_too(self) -> None:
        scale = relevance.scale([], [], 0, [resolved(1)], LEVELS)
        assert scale.relevance(0.9) == pytest.approx(0.9, abs=0.01)


class TestFolding:
    def test_near_identical_results_join_the_best_of_them(self) -> None:
        one, other = np.array(unit_vector(1)), np.array(unit_vector(2))
        vectors = np.array([one, other, one, other, one], np.float32)
        phashes = ["00000000000000ff", "ff00000000000000", "00000000000000fe", "", ""]

        assert fold(phashes, vectors) == [[0, 2, 4], [1, 3]]

    def test_alike_is_not_the_same(self) -> None:
        """A like hash with another vector, a like vector with another hash: neither folds."""
        one = np.array(unit_vector(1))
        close = one + 0.3 * np.array(unit_vector(2))
        far = np.array(unit_vector(3))
        vectors = unit_rows([types.Vector(values=v.tolist()) for v in (one, close, far)])

        assert fold(["0" * 16, "f" * 16, "0" * 16], vectors) == [[0], [1], [2]]
        assert fold(["", "", ""], vectors) == [[0], [1], [2]]

    def test_every_result_is_in_one_group(self) -> None:
        rng = np.random.default_rng(0)
        base = rng.normal(size=(20, 16))
        vectors = np.repeat(base, 5, axis=0) + rng.normal(scale=0.01, size=(100, 16))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        order = rng.permutation(100)

        groups = fold(
            [f"{i // 5 * 0x9E3779B97F4A7C15 % 2**64:016x}" for i in order.tolist()], vectors[order]
        )

        assert sorted(i for group in groups for i in group) == list(range(100))
        assert [group[0] for group in groups] == sorted(group[0] for group in groups)
        assert sorted(len(group) for group in groups) == [5] * 20

    def test_nothing_folds_to_nothing(self) -> None:
        assert fold([], np.zeros((0, 16), np.float32)) == []


class TestExplaining:
    def test_contributions_sum_up_to_the_score(self) -> None:
        terms = [resolved(1, 2.0), resolved(2, -0.5), resolved(3, 1.0)]
        found = unit_rows([types.Vector(values=unit_vector(seed)) for seed in (7, 8)])

        explained = explain(terms, found)

        for row, vector in zip(explained, found, strict=True):
            cosines = [float(vector @ np.array(unit_vector(seed))) for seed in (1, 2, 3)]
            score = (2 * cosines[0] - 0.5 * cosines[1] + cosines[2]) / 3.5
            assert sum(each.contribution for each in row) == pytest.approx(score, abs=1e-6)
            assert [each.similarity for each in row] == pytest.approx(cosines, abs=1e-6)
            assert [each.term for each in row] == [0, 1, 2]


class TestTokens:
    PLACE = Place(
        [resolved(1), resolved(2, -0.25, TEXT)],
        relevance.Scale(1000, 0.1, 0.02, 0.25, 60.0),
        "inner",
        (Found("a" * 64, 0.5, ("b" * 64,)), Found("c" * 64, 0.25)),
    )

    def test_a_token_brings_everything_back(self) -> None:
        read = paging.read(paging.write("d", self.PLACE), "d")

        assert read.scale == self.PLACE.scale
        assert read.inner == "inner"
        assert tuple(read.rest) == self.PLACE.rest
        for one, other in zip(read.terms, self.PLACE.terms, strict=True):
            assert (one.kind, one.field, one.weight) == (other.kind, other.field, other.weight)
            assert one.vector == other.vector

    @pytest.mark.parametrize("token", ["x", "!!", "e30=", "bnVsbA==", "W10=", "eyJvZiI6ICJkIn0="])
    def test_what_is_no_token_is_refused(self, token: str) -> None:
        with pytest.raises(InvalidRequestError, match="page_token"):
            paging.read(token, "d")

    def test_a_token_of_another_request_is_refused(self) -> None:
        with pytest.raises(InvalidRequestError, match="page_token"):
            paging.read(paging.write("d", self.PLACE), "e")

    def test_the_digest_is_of_everything_but_the_token(self) -> None:
        terms = [pb.QueryTerm(text="a")]
        one = paging.digest(pb.SearchImagesRequest(terms=terms, page_size=3))
        same = paging.digest(pb.SearchImagesRequest(terms=terms, page_size=3, page_token="x"))
        other = paging.digest(pb.SearchImagesRequest(terms=terms, page_size=4))
        assert one == same
        assert one != other


def test_every_violation_of_every_term_is_told_at_once() -> None:
    wrong = Violations()
    terms = [
        pb.QueryTerm(),
        pb.QueryTerm(text="a", weight=0),
        pb.QueryTerm(image_id="x", weight=float("nan")),
        pb.QueryTerm(text="a", region=pb.Region(box=pb.Box(right=1, bottom=1))),
        pb.QueryTerm(image=b"x", region=pb.Region(box=pb.Box(left=2))),
    ]

    read_terms(pb.SearchImagesRequest(terms=terms, index="NO"), wrong)

    with pytest.raises(InvalidRequestError) as refused:
        wrong.raise_if_any()
    assert sorted(field for field, _ in refused.value.violations) == [
        "index",
        "terms[0].source",
        "terms[1].weight",
        "terms[2].image_id",
        "terms[2].weight",
        "terms[3].region",
        "terms[4].region.box",
    ]
