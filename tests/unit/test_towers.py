"""embedder_service.model and .cache: order, padding, and what is remembered."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder_service.cache import VectorCache, digest
from embedder_service.model import ImageTower, TextTower
from embedder_service.preprocessing import ImageRecipe
from embedder_service.tokens import Padding, TextRecipe, Tokens, stack

PADDING = Padding(token=0, left=False, most=128)


class Recipe(TextRecipe):
    """Only what a tower asks of it."""

    def __init__(self) -> None:
        self.padding = PADDING


class Engine:
    """Gives each text a direction of its own: its first token. Remembers what it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, ids: NDArray[Any], mask: NDArray[Any]) -> NDArray[np.float32]:
        self.shapes.append(ids.shape)
        assert (ids[mask == 0] == 0).all()
        return np.eye(1000, dtype=np.float32)[ids[:, 0]]


def text(first: int, length: int) -> Tokens:
    return Tokens(np.array([first] + [1] * (length - 1)), False)


@pytest.mark.parametrize("together", [True, False])
def test_texts_of_many_lengths_come_back_in_order(together: bool) -> None:
    engine = Engine()
    lengths = np.random.default_rng(0).integers(1, 128, 200)
    texts = [text(number, int(length)) for number, length in enumerate(lengths)]

    vectors = TextTower(engine, Recipe(), together=together).encode(texts)

    assert vectors.argmax(axis=1).tolist() == list(range(200))
    assert (len(engine.shapes) == 1) is together


def test_texts_of_like_length_are_computed_together() -> None:
    engine = Engine()

    TextTower(engine, Recipe(), together=False).encode([text(n, 100 - n) for n in range(2, 70)])

    assert len(engine.shapes) <= 3


def test_lengths_are_rounded_up_but_not_beyond_what_the_model_reads() -> None:
    assert stack([text(1, 5)], PADDING, step=4)[0].shape == (1, 8)
    assert stack([text(1, 5)], Padding(0, False, 6), step=4)[0].shape == (1, 6)


def test_padding_goes_to_its_side() -> None:
    ids, mask = stack([text(7, 3), text(8, 1)], Padding(9, True, 128))

    assert ids.tolist() == [[7, 1, 1], [9, 9, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_vector_without_direction_is_an_error() -> None:
    recipe = ImageRecipe.__new__(ImageRecipe)
    for bad in (0.0, float("nan"), float("inf")):
        tower = ImageTower(lambda squares, bad=bad: np.full((1, 4), bad, np.float32), recipe)
        with pytest.raises(ArithmeticError):
            tower.encode([np.zeros((2, 2, 3), np.uint8)])


class TestCache:
    def test_what_was_asked_for_longest_ago_goes_first(self) -> None:
        cache = VectorCache(3 * (16 + 300))
        for name in "abc":
            cache.put(digest("text", name.encode()), np.full(4, ord(name), np.float32), False)
        assert cache.get(digest("text", b"a")) is not None

        cache.put(digest("text", b"d"), np.zeros(4, np.float32), True)

        kept = {name: cache.get(digest("text", name.encode())) for name in "abcd"}
        assert [name for name, found in kept.items() if found] == ["a", "c", "d"]
        assert kept["a"] is not None
        assert kept["a"][0].tolist() == [97] * 4
        assert kept["d"] is not None
        assert kept["d"][1] is True

    def test_kinds_do_not_mix(self) -> None:
        assert digest("text", b"a") != digest("image", b"a")

    def test_a_bound_of_nothing_keeps_nothing(self) -> None:
        cache = VectorCache(0)
        cache.put(b"key", np.zeros(4, np.float32), False)

        assert not cache.enabled
        assert cache.get(b"key") is None
