"""Pure parts of classification: prompts, ensembles, 'unknown', votes, tokens, label set files."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import classification_pb2 as pb
from numpy.typing import NDArray

from gateway.classification import background, label_sets
from gateway.classification.labels import Label, Labels
from gateway.classification.neighbors import labels_of
from gateway.classification.prompts import prompts, script
from gateway.classification.resuming import Place, from_token, request_digest, to_token
from gateway.classification.unknown import Background, Matrix
from gateway.classification.voting import Neighbor, Opinion, Votes, chance_level, joined, vote
from gateway.classification.zero_shot import Classifier, Scores, ensemble
from service_kit.errors import InvalidRequestError, Violations

DIMENSIONS = 256


class TestPrompts:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("bee", "LATIN"),
            ("Bär 3", "LATIN"),
            ("蜜蜂", "CJK"),
            ("蜂の巣", "HIRAGANA"),
            ("カブトムシ", "KATAKANA"),
            ("꿀벌", "HANGUL"),
            ("пчела", "CYRILLIC"),
            ("نحلة", "ARABIC"),
            ("T恤衫", "CJK"),
            ("42", ""),
        ],
    )
    def test_a_texts_script(self, text: str, expected: str) -> None:
        assert script(text) == expected

    def test_without_templates_each_text_gets_those_of_its_script(self) -> None:
        made = prompts(["bee", "蜜蜂", "42"], [])

        assert "a photo of a bee." in made
        assert "一张蜜蜂的照片" in made
        assert not any("photo" in each and "蜜蜂" in each for each in made)
        assert made[-1] == "42"

    def test_with_templates_each_text_is_put_in_each(self) -> None:
        assert prompts(["a", "b"], ["{}!", "x {}"]) == ["a!", "x a", "b!", "x b"]

    def test_braces_in_a_text_are_only_text(self) -> None:
        assert prompts(["{0} {x}"], ["a {}"]) == ["a {0} {x}"]


def unit(vectors: Matrix) -> Matrix:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class World:
    """A made-up CLIP: concepts in all directions, images near theirs, a gap between the two kinds.

    Args:
        gap: Part of each vector that all texts, or all images, share.
        shown: How much of an image is its concept.
    """

    def __init__(self, gap: float, shown: float = 0.5, seed: int = 1) -> None:
        chance = np.random.default_rng(seed)
        self.concepts = unit(chance.standard_normal((400, DIMENSIONS)))
        shared = np.linalg.qr(chance.standard_normal((DIMENSIONS, 2)))[0].T
        self._text, self._image = shared[0], 0.4 * shared[0] + 0.9165 * shared[1]
        self._gap, self._shown, self._chance = gap, shown, chance

    def texts(self, numbers: range) -> Matrix:
        own = (1 - self._gap) ** 0.5 * self.concepts[list(numbers)]
        return unit(own + self._gap**0.5 * self._text)

    def images(self, numbers: range) -> NDArray[np.float32]:
        noise = unit(self._chance.standard_normal((len(numbers), DIMENSIONS)))
        own = self._shown * self.concepts[list(numbers)] + (1 - self._shown**2) ** 0.5 * noise
        made = unit((1 - self._gap) ** 0.5 * own + self._gap**0.5 * self._image)
        return made.astype(np.float32)


def unknown_share(scores: Scores) -> float:
    return float(np.mean([scores.is_unknown(i) for i in range(len(scores.unknown))]))


class TestUnknown:
    @pytest.mark.parametrize("understood", [True, False])
    @pytest.mark.parametrize("gap", [0.0, 0.5, 0.7])
    def test_what_no_label_suits_is_unknown_whatever_the_gap(
        self, gap: float, understood: bool
    ) -> None:
        """Cosines shrink and shift with the gap; the answers stay."""
        world = World(gap)
        around = Background(world.texts(range(200, 400)), understood)
        classifier = Classifier(world.texts(range(10)), around, 30 / (1 - gap), 0.35)

        known = classifier.scores(world.images(range(10)))
        others = classifier.scores(world.images(range(10, 200)))

        assert [known.ranked(i, 1)[0] for i in range(10)] == list(range(10))
        assert unknown_share(known) == 0
        assert unknown_share(others) == 1

    def test_what_the_background_names_better_is_unknown(self) -> None:
        """An image between a label and a rival that is nearer to the rival."""
        world = World(0.5, shown=0.99)
        around = Background(world.texts(range(200, 400)), True)
        classifier = Classifier(world.texts(range(10)), around, 60, 0.1)
        between = world.images(range(3, 4)) + 1.3 * world.images(range(300, 301))

        scores = classifier.scores(unit(between.astype(np.float64)).astype(np.float32))

        assert scores.ranked(0, 1) == [3]
        assert scores.is_unknown(0)

    def test_a_background_text_that_is_a_label_is_no_rival(self) -> None:
        world = World(0.5)
        around = Background(world.texts(range(400)), True)
        classifier = Classifier(world.texts(range(10)), around, 60, 0.35)

        assert unknown_share(classifier.scores(world.images(range(10)))) == 0

    @pytest.mark.parametrize("understood", [True, False])
    def test_a_single_label(self, understood: bool) -> None:
        world = World(0.5)
        around = Background(world.texts(range(200, 400)), understood)
        classifier = Classifier(world.texts(range(1)), around, 60, 0.35)

        assert unknown_share(classifier.scores(world.images(range(1)))) == 0
        assert unknown_share(classifier.scores(world.images(range(1, 100)))) == 1

    def test_two_labels_that_mean_the_same_share_what_is_theirs(self) -> None:
        world = World(0.5)
        around = Background(world.texts(range(200, 400)), True)
        twins = unit(world.texts(range(1)) + 0.01 * world.texts(range(5, 6)))
        labels = np.concatenate([world.texts(range(3)), twins])
        classifier = Classifier(labels, around, 60, 0.35)

        scores = classifier.scores(world.images(range(1)))

        assert not scores.is_unknown(0)
        assert scores.probabilities[0, [0, 3]].sum() > 0.9

    def test_labels_whose_texts_are_all_the_same_tell_nothing(self) -> None:
        world = World(0.5)
        labels = np.repeat(world.texts(range(1)), 3, axis=0)
        around = Background(world.texts(range(200, 400)), False)
        scores = Classifier(labels, around, 60, 0.35).scores(world.images(range(2)))

        assert np.isfinite(scores.unknown).all()
        assert unknown_share(scores) == 1

    def test_all_sums_up_to_one_at_any_scale(self) -> None:
        world = World(0.5)
        around = Background(world.texts(range(200, 400)), True)
        for scale in (0, 1, 100, 1e6):
            scores = Classifier(world.texts(range(10)), around, scale, 0.35).scores(
                world.images(range(20))
            )
            assert scores.probabilities.sum(1) + scores.unknown == pytest.approx(1)

    def test_a_model_that_does_not_say_its_scale_gets_clips(self) -> None:
        world = World(0.5)
        around = Background(world.texts(range(200, 400)), True)
        given, default = [
            Classifier(world.texts(range(10)), around, scale, 0.35).scores(
                World(0.5).images(range(20))
            )
            for scale in (100, 0)
        ]
        assert np.array_equal(given.probabilities, default.probabilities)


def test_a_background_is_understood_by_who_puts_words_for_one_thing_together() -> None:
    count = len(background.sentences())
    chance = np.random.default_rng(3)
    random = unit(chance.standard_normal((count, DIMENSIONS)))
    paired = random.copy()
    words = paired[len(background.THINGS) :]
    words[1::2] = unit(words[::2] + 0.3 * words[1::2])

    assert not background.background(random).understood
    assert background.background(paired).understood


def test_the_background_names_each_thing_once() -> None:
    assert len(set(background.sentences())) == len(background.sentences())
    assert all(sentence.strip() == sentence for sentence in background.sentences())


def test_an_ensemble_is_the_unit_mean_of_each_group() -> None:
    vectors = unit(np.random.default_rng(1).standard_normal((6, 8)))

    made = ensemble(vectors, [1, 3, 2])

    expected = [vectors[:1].mean(0), vectors[1:4].mean(0), vectors[4:].mean(0)]
    assert made == pytest.approx(unit(np.array(expected)))


def neighbors(*votes: tuple[float, list[str]]) -> list[Neighbor]:
    return [Neighbor(str(n), similarity, labels) for n, (similarity, labels) in enumerate(votes)]


class TestVoting:
    def test_the_nearer_count_more(self) -> None:
        votes = vote(neighbors((0.9, ["a"]), (0.8, ["b"]), (0.7, ["b"])), chance=0.1)

        assert votes.shares["a"] > votes.shares["b"]
        assert votes.voters == {"a": ["0"], "b": ["1", "2"]}
        assert sum(votes.shares.values()) < 1

    def test_who_is_alike_by_chance_only_has_no_vote(self) -> None:
        assert sum(vote(neighbors((0.5, ["a"]), (0.4, ["b"])), chance=0.5).shares.values()) == 0

    def test_the_same_image_leaves_nothing_open(self) -> None:
        votes = vote(neighbors((1.0, ["a"]), (0.2, ["b"])), chance=0.2)

        assert votes.shares["a"] == pytest.approx(1, abs=1e-3)

    def test_several_labels_split_a_vote_and_none_leaves_it_open(self) -> None:
        votes = vote(neighbors((1.0, ["a", "b"]), (1.0, [])), chance=0.0)

        assert votes.shares == {"a": pytest.approx(0.25), "b": pytest.approx(0.25)}

    def test_nobody(self) -> None:
        assert vote([], 0.0) == Votes({}, {})

    @pytest.mark.parametrize(
        ("sample", "expected"),
        [
            (np.array([]), 0.0),
            (np.array([0.9, 0.2, 0.3]), 0.2),
            (np.linspace(0, 1, 101), 0.5),
            (np.array([0.5]), 0.5),
        ],
    )
    def test_the_level_of_chance(self, sample: NDArray[np.float64], expected: float) -> None:
        assert chance_level(sample) == expected


class TestJoining:
    A = Opinion({"a": 0.6, "b": 0.1}, 0.3)

    def test_agreement_grows_surer_and_contradiction_less(self) -> None:
        agreed = joined(self.A, Votes({"a": 0.6}, {}))
        contradicted = joined(self.A, Votes({"b": 0.6}, {}))

        assert agreed.probabilities["a"] > 0.6
        assert contradicted.probabilities["a"] < 0.6
        for opinion in (agreed, contradicted):
            total = sum(opinion.probabilities.values()) + opinion.unknown
            assert total == pytest.approx(1)

    def test_who_says_nothing_changes_nothing(self) -> None:
        assert joined(self.A, Votes({}, {})) == self.A
        alone = joined(Opinion({}, 1.0), Votes({"a": 0.6}, {}))
        assert (alone.probabilities, alone.unknown) == ({"a": 0.6}, pytest.approx(0.4))

    def test_what_is_unknown_to_one_the_other_may_know(self) -> None:
        both = joined(Opinion({"a": 0.05}, 0.95), Votes({"c": 0.8}, {}))

        assert max(both.probabilities, key=lambda name: both.probabilities[name]) == "c"
        assert both.probabilities["c"] > both.unknown

    def test_two_that_are_certain_of_different_things(self) -> None:
        both = joined(Opinion({"a": 1.0, "b": 0.0}, 0.0), Votes({"b": 1.0}, {}))

        assert both.probabilities["a"] == pytest.approx(both.probabilities["b"])


def test_labels_of_a_document() -> None:
    document = types.Document(tags=["Star", "x", "étoile", "x"], attributes={"kind": "STAR"})
    known = {"star": "star", "étoile": "star"}

    assert labels_of(document, "tags", known) == ["star", "x"]
    assert labels_of(document, "attributes.kind", known) == ["star"]
    assert labels_of(document, "attributes.none", known) == []


LABELS = Labels((Label("a", (), {"en": "a", "zh": "甲"}),), ())


class TestResuming:
    ID = "a" * 64

    def digest(self, **options: object) -> str:
        return request_digest(pb.ClassifyBatchRequest(index="i", **options), LABELS)  # type: ignore[arg-type]

    def test_a_token_says_where(self) -> None:
        place = Place(self.ID, "b" * 64, 7)

        wrong = Violations()
        assert from_token(to_token(place, "d"), "d", wrong) == place
        wrong.raise_if_any()

    def test_a_request_is_the_same_however_far_it_has_got(self) -> None:
        assert self.digest(resume_token="x") == self.digest()
        assert self.digest(top_k=2) != self.digest()

    @pytest.mark.parametrize(
        "token",
        [
            "x",
            "é",
            *(
                base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
                for content in (
                    None,
                    [],
                    ["d", "", ""],
                    ["d", 1, "", 0],
                    ["d", "", "", True],
                    ["d", "no id", "", 0],
                    ["other", "", "", 0],
                )
            ),
        ],
    )
    def test_what_is_no_token_of_this_request_is_refused(self, token: str) -> None:
        wrong = Violations()
        from_token(token, "d", wrong)

        with pytest.raises(InvalidRequestError, match="resume_token"):
            wrong.raise_if_any()


class TestLabelSetFiles:
    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("a.json", "{", "a.json"),
            ("a.json", "[]", "must be an object"),
            ("a.json", "{}", "must be an object"),
            ("a.json", '{"labels": []}', "1 to 1000"),
            ("a.json", '{"labels": ["x"]}', r"labels\[0\]"),
            ("a.json", '{"labels": [{"name": 3}]}', r"labels\[0\]"),
            ("a.json", '{"labels": [{"nam": "x"}]}', r"labels\[0\]"),
            ("a.json", '{"labels": [{"name": "x"}, {"name": "x"}]}', r"labels\[1\].name"),
            ("a.json", '{"labels": [{"name": "x"}], "template": []}', "unknown key 'template'"),
            ("a.json", '{"labels": [{"name": "x"}], "templates": ["x"]}', r"templates\[0\]"),
            ("a.json", '{"labels": [{"name": "x"}], "description": 3}', "description"),
            ("a.json", '{"labels": [{"name": "x", "display_names": {"en": 3}}]}', r"labels\[0\]"),
            ("a.json", "[" * 100_000, "a.json"),
            ("A b.json", '{"labels": [{"name": "x"}]}', "must be named"),
        ],
    )
    def test_a_wrong_file_is_said_by_name_and_reason(
        self, tmp_path: Path, name: str, content: str, said: str
    ) -> None:
        (tmp_path / name).write_text(content, encoding="utf-8")

        with pytest.raises(label_sets.LabelSetFileError, match=said) as caught:
            label_sets.load(tmp_path)
        assert name in str(caught.value)

    def test_what_is_no_folder_or_no_text(self, tmp_path: Path) -> None:
        with pytest.raises(label_sets.LabelSetFileError, match="no folder"):
            label_sets.load(tmp_path / "none")
        (tmp_path / "a.json").write_bytes(b"\xff")
        with pytest.raises(label_sets.LabelSetFileError, match="cannot be read"):
            label_sets.load(tmp_path)

    def test_other_files_are_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("x")

        assert label_sets.load(tmp_path) == label_sets.load(None)

    def test_ours_have_a_name_and_a_translation_once(self) -> None:
        for found in label_sets.load(None).values():
            for language in ("en", "zh"):
                names = [label.display_names[language] for label in found.labels.labels]
                assert len(set(names)) == len(names), found.name
