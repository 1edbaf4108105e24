"""Groups of duplicates, and the file that a scan is gone on with from."""

import io
import random
import zlib

import numpy as np
import pytest
from imagesearch.common.v1 import types_pb2 as types
from PIL import Image

from gateway.candidates import interleaved
from gateway.duplicates.grouping import Pair, Sets, groups
from gateway.duplicates.near_images import DuplicateSearch, threshold
from gateway.duplicates.reporting import Keep, kept_of
from gateway.duplicates.state import ScanState, StateError, decoded, encoded, pair_key
from gateway.forms import hashes, unframed, unframed_hashes
from gateway.proof.relations import Relation
from tests.helpers import encoded as encoded_image
from tests.helpers import image_id, terms


def pair(a: str, b: str, confidence: float = 0.9, joins: bool = True) -> Pair:
    return Pair(a, b, Relation.RESIZED, confidence, joins)


class TestSets:
    def test_agrees_with_colouring_a_graph(self) -> None:
        rng = random.Random(3)
        for size in (2, 10, 60):
            items = [f"{n:02}" for n in range(size)]
            colour = {item: item for item in items}
            sets = Sets()
            for _ in range(size // 2):
                one, other = rng.choice(items), rng.choice(items)
                sets.join(one, other)
                old, new = colour[one], colour[other]
                colour = {item: new if c == old else c for item, c in colour.items()}

            wanted: dict[str, list[str]] = {}
            for item in items:
                wanted.setdefault(colour[item], []).append(item)
            assert sorted(sets.all()) == sorted(g for g in wanted.values() if len(g) > 1)
            for item in items:
                assert sets.size(item) == len(wanted[colour[item]])


class TestGroups:
    def test_versions_of_versions_are_together(self) -> None:
        pairs = [pair("a", "b"), pair("b", "c", 0.6), pair("x", "y")]

        assert groups(pairs, 0.5) == [["a", "b", "c"], ["x", "y"]]

    def test_pairs_that_are_not_sure_enough_do_not_count(self) -> None:
        assert groups([pair("a", "b", 0.49), pair("b", "c", 0.5)], 0.5) == [["b", "c"]]
        assert groups([], 0.5) == []

    def test_one_weak_pair_does_not_merge_two_groups(self) -> None:
        two = [pair("a", "b"), pair("x", "y")]

        assert groups([*two, pair("b", "x", 0.6)], 0.5) == [["a", "b"], ["x", "y"]]
        assert groups([*two, pair("b", "x", 0.6), pair("a", "y", 0.6)], 0.5) == [
            ["a", "b", "x", "y"]
        ]
        assert groups([*two, pair("b", "x", 0.8)], 0.5) == [["a", "b", "x", "y"]]

    def test_a_chain_of_weak_pairs_does_not_either(self) -> None:
        """Each of a chain joins one image; the last would merge two groups."""
        two = [pair("a", "b"), pair("x", "y")]
        chain = [pair("b", "m", 0.6), pair("m", "x", 0.55)]

        assert groups([*two, *chain], 0.5) == [["a", "b", "m"], ["x", "y"]]

    def test_a_collage_joins_nothing(self) -> None:
        pairs = [pair("a", "c", 0.99, joins=False), pair("b", "c", 0.99, joins=False)]

        assert groups(pairs, 0.5) == []

    def test_the_order_of_pairs_does_not_matter(self) -> None:
        rng = random.Random(1)
        ids = [f"{n:02}" for n in range(40)]
        pairs = [pair(*sorted(rng.sample(ids, 2)), round(rng.random(), 1)) for _ in range(60)]
        wanted = groups(pairs, 0.3)
        for _ in range(10):
            rng.shuffle(pairs)

            assert groups(pairs, 0.3) == wanted

    def test_a_relation_is_turned_round(self) -> None:
        """If b is a part of a, then a shows more than b."""
        cropped = Pair("a", "b", Relation.CROPPED, 0.9)

        assert cropped.seen_from("a") is Relation.CROPPED
        assert cropped.seen_from("b") is Relation.WIDER
        assert Pair("a", "b", Relation.MIRRORED, 0.9).seen_from("b") is Relation.MIRRORED


class TestKeeping:
    def test_the_largest_or_the_oldest(self) -> None:
        small = types.Document(image_id="s", width=10, height=10, size_bytes=9)
        small.captured_at.seconds = 100
        large = types.Document(image_id="l", width=20, height=20, size_bytes=1)
        large.sources.add().first_seen_at.seconds = 200
        heavy = types.Document(image_id="h", width=20, height=20, size_bytes=2)
        heavy.indexed_at.seconds = 300

        assert kept_of([small, large, heavy], Keep.LARGEST) is heavy
        assert kept_of([small, large, heavy], Keep.OLDEST) is small
        small.captured_at.seconds = 250
        assert kept_of([small, large, heavy], Keep.OLDEST) is large


def a_state() -> ScanState:
    return ScanState(
        "1" * 32,
        "digest",
        0.87,
        total=1_000,
        after=image_id(1),
        checked=50,
        compared=70,
        pairs=[pair(image_id(1), image_id(2), 0.75), pair("a", "b", 0.123456, joins=False)],
        expected={0, 1, 2**64 - 1, pair_key("a", "b")},
        skipped={image_id(5)},
    )


class TestState:
    def test_a_state_survives_its_file(self) -> None:
        assert decoded(encoded(a_state())) == a_state()

    def test_the_file_of_a_large_scan_is_small(self) -> None:
        state = a_state()
        state.pairs = [pair(image_id(n), image_id(-n), 0.9) for n in range(1_000)]
        state.expected = {pair_key(image_id(n), "x") for n in range(10_000)}

        assert len(encoded(state)) < 250_000

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{}",
            zlib.compress(b"{}"),
            zlib.compress(b"[]"),
            zlib.compress(b'{"version": 2}'),
            encoded(a_state())[:-20],
        ],
    )
    def test_what_is_no_state_is_refused(self, data: bytes) -> None:
        with pytest.raises(StateError):
            decoded(data)

    def test_a_pair_has_one_key_in_any_order(self) -> None:
        keys = {pair_key(image_id(n), image_id(n + 1)) for n in range(1_000)}

        assert len(keys) == 1_000
        assert pair_key("a", "b") == pair_key("b", "a")

    def test_a_scan_is_of_an_index_a_filter_and_a_number_of_neighbors(self) -> None:
        same = [DuplicateSearch("i", terms("tags", "x"), 10).digest for _ in range(2)]
        others = [
            DuplicateSearch("j", terms("tags", "x"), 10).digest,
            DuplicateSearch("i", terms("tags", "y"), 10).digest,
            DuplicateSearch("i", None, 10).digest,
            DuplicateSearch("i", types.Filter(), 10).digest,
            DuplicateSearch("i", terms("tags", "x"), 11).digest,
        ]

        assert same[0] == same[1]
        assert len({same[0], *others}) == 6


class TestThreshold:
    def test_two_neighbors_an_image_lie_above_it(self) -> None:
        scores = [n / 1_000 for n in range(1_000)]

        assert threshold(scores, 100) == pytest.approx(0.799)

    def test_few_neighbors_are_all_compared(self) -> None:
        assert threshold([0.9] * 20, 10) == -1
        assert threshold([], 0) == -1

    def test_what_is_alike_for_sure_is_always_compared(self) -> None:
        """Else, in an index of nothing but duplicates, most would be passed over."""
        assert threshold([0.999] * 1_000, 100) == pytest.approx(0.98)


class TestCandidates:
    def test_lists_are_joined_in_turns(self) -> None:
        assert interleaved([["a", "b", "c"], ["x", "y"]], [1, 1], 10) == ["a", "x", "b", "y", "c"]

    def test_a_list_of_more_weight_goes_faster(self) -> None:
        first = [f"a{n}" for n in range(8)]
        second = [f"b{n}" for n in range(8)]

        joined = interleaved([first, second], [4, 1], 10)

        assert len(joined) == 10
        assert [each for each in joined if each.startswith("b")] == ["b0", "b1"]

    def test_being_in_many_lists_is_no_merit(self) -> None:
        lists = [["mine"], *[[f"x{n}", "everywhere"] for n in range(5)]]

        joined = interleaved(lists, [1.0] * 6, 4)

        assert "mine" in joined
        assert "everywhere" not in joined


class TestFrames:
    def test_a_frame_is_taken_off(self) -> None:
        picture = a_scene(1)
        for colour, sides in (("white", (20, 20)), ("black", (0, 24)), ("#80a020", (30, 0))):
            framed = Image.new("RGB", (200 + 2 * sides[0], 160 + 2 * sides[1]), colour)
            framed.paste(picture, sides)
            stored = Image.open(io.BytesIO(encoded_image(framed, "JPEG", quality=80)))

            inner = unframed(stored.convert("RGB"))

            assert inner is not None
            assert inner.size == pytest.approx((200, 160), abs=3)
            for each in (framed, stored.convert("RGB")):
                own = int(hashes(picture)[0], 16)
                distances = [(int(h, 16) ^ own).bit_count() for h in unframed_hashes(each)]
                assert min(distances) <= 5

    def test_a_picture_without_one_is_left_alone(self) -> None:
        assert unframed(a_scene(2)) is None
        assert unframed(Image.new("RGB", (80, 80), "teal")) is None
        assert len(hashes(a_scene(2))) == 8


def a_scene(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((200, 160), Image.Resampling.BICUBIC)
