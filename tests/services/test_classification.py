"""What is in a picture, over gRPC: real embedder with the tiny model, real Elasticsearch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import classification_pb2 as classification
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.search.v1 import index_service_pb2 as index_pb

import gateway.server
import gateway.settings
from imagesearch_dev.captions import LANGUAGES, Query, caption
from imagesearch_dev.drawings import SHAPES, Drawing, draw, random_drawing
from imagesearch_dev.tiny_model.evaluation import HELD_OUT_SEED
from service_kit.client import channel
from service_kit.server import StartError
from tests.helpers import Refusal, a_picture, each, encoded, image_id, refusal, terms

if TYPE_CHECKING:
    from pathlib import Path

    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub

NaN = float("nan")


def held_out(count: int, seed: int = HELD_OUT_SEED) -> list[Drawing]:
    """Drawings that the tiny model was not trained on, as many of each shape."""
    rng = random.Random(seed)
    return [replace(random_drawing(rng), shape=SHAPES[n % len(SHAPES)]) for n in range(count)]


def picture(drawing: Drawing) -> bytes:
    return encoded(draw(drawing, 128), "PNG")


def labels_in(language: str, shapes: Sequence[str] = SHAPES) -> classification.Labels:
    """The shapes in one language, each named by their numbers."""
    return classification.Labels(
        labels=[
            classification.Label(
                name=shape,
                texts=[caption(Query(count=n, shape=shape), language) for n in (1, 2, 3, 4)],
            )
            for shape in shapes
        ],
        templates=["{}"],
    )


class Known:
    """An index of drawings, half of them labelled.

    Attributes:
        name: Of the index.
        shown: What each image shows, by id.
    """

    def __init__(self, name: str, shown: dict[str, Drawing]) -> None:
        self.name = name
        self.shown = shown


@pytest.fixture(scope="session")
async def known(images: ImageSearchServiceAsyncStub, index_of_drawings: str) -> Known:
    index = f"{index_of_drawings}-labelled"
    drawings = held_out(120, seed=5)
    requests = [
        pb.IndexImagesRequest(
            request_id=str(n),
            index=index,
            image=pb.ImageUpload(
                content=picture(drawing),
                tags=[drawing.shape] if n % 16 < 8 else [],
                attributes={"shape": drawing.shape, "colour": drawing.colour},
            ),
        )
        for n, drawing in enumerate(drawings)
    ]
    answers = [answer async for answer in images.IndexImages(each(requests), timeout=60)]
    ids = {answer.indexed.image_id: drawings[int(answer.request_id)] for answer in answers}
    assert len(ids) == len(drawings)
    return Known(index, ids)


async def batch(
    images: ImageSearchServiceAsyncStub, **options: Any
) -> list[classification.ClassifyBatchResponse]:
    request = classification.ClassifyBatchRequest(**options)
    return [answer async for answer in images.ClassifyBatch(request, timeout=60)]


class TestClassify:
    @pytest.mark.parametrize("language", LANGUAGES)
    async def test_held_out_drawings_in_five_languages(
        self, images: ImageSearchServiceAsyncStub, language: str
    ) -> None:
        drawings = held_out(40)
        right = 0
        for drawing in drawings:
            request = classification.ClassifyRequest(
                image=picture(drawing), labels=labels_in(language), top_k=1
            )
            answer = await images.Classify(request, timeout=30)
            right += answer.labels[0].name == drawing.shape and not answer.unknown

        assert right >= 0.9 * len(drawings)

    async def test_probabilities_sum_up_and_come_best_first(
        self, images: ImageSearchServiceAsyncStub
    ) -> None:
        request = classification.ClassifyRequest(image=a_picture(3), label_set="drawings", top_k=8)

        answer = await images.Classify(request, timeout=30)

        chances = [label.probability for label in answer.labels]
        assert sum(chances) + answer.unknown_probability == pytest.approx(1, abs=1e-5)
        assert chances == sorted(chances, reverse=True)
        similarities = [label.similarity for label in answer.labels]
        assert similarities == sorted(similarities, reverse=True)
        assert answer.unknown == (answer.unknown_probability > chances[0])

    async def test_what_the_labels_lack_is_unknown(
        self, images: ImageSearchServiceAsyncStub
    ) -> None:
        """Labels for half of the shapes: the other half is unknown, and only that."""
        half = SHAPES[::2]
        drawings = held_out(64)
        said: Counter[tuple[bool, bool]] = Counter()
        for drawing in drawings:
            request = classification.ClassifyRequest(
                image=picture(drawing), labels=labels_in("en", half)
            )
            answer = await images.Classify(request, timeout=30)
            said[drawing.shape not in half, answer.unknown] += 1

        recall = said[True, True] / (said[True, True] + said[True, False])
        precision = said[True, True] / (said[True, True] + said[False, True])
        assert recall >= 0.9
        assert precision >= 0.9

    async def test_by_id_and_by_region_and_with_default_templates(
        self, images: ImageSearchServiceAsyncStub, known: Known
    ) -> None:
        wanted, drawing = next(
            (key, each) for key, each in known.shown.items() if each.position == "centre"
        )
        whole = queries_pb.Region(box=queries_pb.Box(right=1, bottom=1))
        names = [caption(Query(count=drawing.count, shape=shape), "zh") for shape in SHAPES]
        labels = classification.Labels(labels=[classification.Label(name=name) for name in names])
        answers = [
            await images.Classify(
                classification.ClassifyRequest(
                    image_id=wanted, index=known.name, labels=labels, region=region
                ),
                timeout=30,
            )
            for region in (None, whole)
        ]

        for answer in answers:
            assert answer.labels[0].name == names[SHAPES.index(drawing.shape)]
        assert answers[0].labels[0].probability == pytest.approx(
            answers[1].labels[0].probability, abs=0.02
        )

    async def test_vectors_of_labels_are_made_once(
        self, images: ImageSearchServiceAsyncStub, embedder: Any
    ) -> None:
        request = classification.ClassifyRequest(image=a_picture(3), labels=labels_in("fr"))
        await images.Classify(request, timeout=30)
        before = await self._texts(embedder)

        await images.Classify(request, timeout=30)

        assert await self._texts(embedder) == before

    async def _texts(self, embedder: Any) -> int:
        from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb

        answer = await embedder.GetStatistics(embedder_pb.GetStatisticsRequest())
        return sum(
            model.computed for model in answer.models if model.modality == embedder_pb.MODALITY_TEXT
        )


class TestLabelSets:
    async def test_those_that_come_with_it(self, images: ImageSearchServiceAsyncStub) -> None:
        listed = await images.ListLabelSets(classification.ListLabelSetsRequest())

        sizes = {each.name: each.label_count for each in listed.label_sets}
        assert list(sizes) == ["animals", "drawings", "foods", "insects", "products", "scenes"]
        assert sizes["insects"] >= 100
        assert all(60 <= size <= 200 for name, size in sizes.items() if name != "drawings")
        for listed_set in listed.label_sets:
            request = classification.GetLabelSetRequest(name=listed_set.name)
            answer = await images.GetLabelSet(request)
            assert answer.label_set == listed_set
            assert len(answer.labels.labels) == listed_set.label_count
            assert {"en", "zh"} <= set(listed_set.languages)
            for label in answer.labels.labels:
                assert {"en", "zh"} <= label.display_names.keys()
                assert label.texts

    async def test_as_labels_they_are_as_by_name(self, images: ImageSearchServiceAsyncStub) -> None:
        got = await images.GetLabelSet(classification.GetLabelSetRequest(name="drawings"))
        by_name, by_labels = [
            await images.Classify(
                classification.ClassifyRequest(image=a_picture(4), **choice), timeout=30
            )
            for choice in ({"label_set": "drawings"}, {"labels": got.labels})
        ]

        assert by_name == by_labels
        assert by_name.labels[0].display_names["zh"]

    async def test_the_operators_own(
        self, embedder_address: str, search_address: str, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.json").write_text('{"labels": [{"name": "a star"}]}', encoding="utf-8")
        (tmp_path / "drawings.json").write_text('{"labels": [{"name": "x"}]}', encoding="utf-8")
        settings = gateway.settings.Settings(
            listen="127.0.0.1:0",
            embedder=embedder_address,
            search=search_address,
            store_url=(tmp_path / "store").as_uri(),
            label_sets=str(tmp_path),
            grace_s=1,
        )
        async with (
            gateway.server.running(settings) as port,
            channel(f"127.0.0.1:{port}") as opened,
        ):
            from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc

            stub: Any = pb_grpc.ImageSearchServiceStub(opened)
            listed = await stub.ListLabelSets(classification.ListLabelSetsRequest())
        sizes = {each.name: each.label_count for each in listed.label_sets}
        assert (sizes["mine"], sizes["drawings"], len(sizes)) == (1, 1, 7)

    async def test_a_wrong_file_refuses_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "mine.json").write_text('{"labels": [{"name": ""}]}', encoding="utf-8")
        settings = gateway.settings.Settings(
            listen="127.0.0.1:0",
            store_url=(tmp_path / "store").as_uri(),
            label_sets=str(tmp_path),
        )
        with pytest.raises(StartError, match=r"mine\.json: labels\[0\]\.name: is empty"):
            async with gateway.server.running(settings):
                pass


@pytest.fixture
async def small(images: ImageSearchServiceAsyncStub, new_index: str) -> Known:
    """An index of 24 drawings that a test may change."""
    drawings = held_out(24, seed=8)
    requests = [
        pb.IndexImagesRequest(
            request_id=str(n),
            index=new_index,
            image=pb.ImageUpload(content=picture(drawing), tags=["mine"]),
        )
        for n, drawing in enumerate(drawings)
    ]
    answers = [answer async for answer in images.IndexImages(each(requests), timeout=60)]
    return Known(
        new_index, {each.indexed.image_id: drawings[int(each.request_id)] for each in answers}
    )


async def tags_of(images: ImageSearchServiceAsyncStub, index: str, wanted: str) -> list[str]:
    request = pb.GetImageRequest(index=index, image_id=wanted)
    return list((await images.GetImage(request, timeout=10)).image.tags)


class TestClassifyBatch:
    async def test_one_answer_an_image_by_id_and_nothing_is_written_unasked(
        self, images: ImageSearchServiceAsyncStub, small: Known
    ) -> None:
        answers = await batch(images, index=small.name, label_set="drawings", min_probability=0)

        assert [answer.image_id for answer in answers] == sorted(small.shown)
        assert {answer.total_count for answer in answers} == {24}
        right = [
            [label.name for label in answer.labels] == [small.shown[answer.image_id].shape]
            for answer in answers
        ]
        assert sum(right) >= 0.9 * len(right)
        assert not any(answer.HasField("error") for answer in answers)
        assert await tags_of(images, small.name, answers[0].image_id) == ["mine"]

    async def test_tags_are_added_and_the_second_time_changes_nothing(
        self, images: ImageSearchServiceAsyncStub, small: Known
    ) -> None:
        options = {
            "index": small.name,
            "label_set": "drawings",
            "write_tags": True,
            "tag_prefix": "auto:",
        }
        first = await batch(images, **options)
        again = await batch(images, **options)

        assert [answer.labels for answer in first] == [answer.labels for answer in again]
        for answer in first:
            expected = ["mine", *(f"auto:{label.name}" for label in answer.labels)]
            assert await tags_of(images, small.name, answer.image_id) == expected
        request = pb.GetImageRequest(index=small.name, image_id=first[0].image_id)
        kept = (await images.GetImage(request)).image
        assert (kept.width, kept.format, len(kept.sources)) == (128, "PNG", 0)

    async def test_it_goes_on_after_the_answer_whose_token_it_gets(
        self, images: ImageSearchServiceAsyncStub, small: Known
    ) -> None:
        options = {"index": small.name, "label_set": "drawings", "write_tags": True}
        request = classification.ClassifyBatchRequest(**options)
        stream = images.ClassifyBatch(request, timeout=60)
        seen = []
        async for answer in stream:
            seen.append(answer)
            if len(seen) == 10:
                break
        stream.cancel()

        rest = await batch(images, **options, resume_token=seen[-1].resume_token)

        met = [answer.image_id for answer in [*seen, *rest]]
        assert met == sorted(small.shown)
        assert {answer.total_count for answer in rest} == {24}
        assert await batch(images, **options, resume_token=rest[-1].resume_token) == []
        for answer in [*seen, *rest]:
            tags = await tags_of(images, small.name, answer.image_id)
            assert {label.name for label in answer.labels} <= set(tags)

    async def test_only_images_that_match(
        self, images: ImageSearchServiceAsyncStub, known: Known
    ) -> None:
        answers = await batch(
            images, index=known.name, label_set="drawings", filter=terms("tags", "star", "ring")
        )

        assert {known.shown[answer.image_id].shape for answer in answers} == {"star", "ring"}
        assert {answer.total_count for answer in answers} == {len(answers)}

    async def test_unlikely_labels_are_left_out_and_several_may_be_had(
        self, images: ImageSearchServiceAsyncStub, small: Known
    ) -> None:
        options = {"index": small.name, "label_set": "drawings"}
        strict = await batch(images, **options, min_probability=1)
        many = await batch(images, **options, min_probability=0, top_k=3)

        assert not any(answer.labels for answer in strict)
        assert {len(answer.labels) for answer in many} <= {0, 3}

    async def test_a_token_of_another_request_is_refused(
        self, images: ImageSearchServiceAsyncStub, small: Known
    ) -> None:
        token = (await batch(images, index=small.name, label_set="drawings"))[3].resume_token
        for change in ({"top_k": 2}, {"label_set": "animals"}, {"write_tags": True}):
            options = {"index": small.name, "label_set": "drawings", **change}
            refused = await refusal(batch(images, **options, resume_token=token))
            assert refused.fields == ["resume_token"]

    async def test_an_empty_index_has_no_answers(
        self, images: ImageSearchServiceAsyncStub, indexes: IndexServiceAsyncStub, new_index: str
    ) -> None:
        await indexes.CreateIndex(index_pb.CreateIndexRequest(name=new_index, space="any@1"))

        assert await batch(images, index=new_index, label_set="drawings") == []


class TestIdentify:
    async def identify(
        self, images: ImageSearchServiceAsyncStub, **options: Any
    ) -> classification.IdentifyResponse:
        request = classification.IdentifyRequest(**options)
        answer: classification.IdentifyResponse = await images.Identify(request, timeout=30)
        return answer

    async def test_votes_alone(self, images: ImageSearchServiceAsyncStub, known: Known) -> None:
        """Without labels it is what the neighbours say, and they are shown."""
        drawings = held_out(40, seed=31)
        right = 0
        for drawing in drawings:
            answer = await self.identify(
                images,
                image=picture(drawing),
                index=known.name,
                label_field="attributes.shape",
                top_k=8,
            )
            chances = [label.probability for label in answer.labels]
            assert sum(chances) + answer.unknown_probability == pytest.approx(1, abs=1e-5)
            assert {label.zero_shot_probability for label in answer.labels} == {0}
            assert len(answer.neighbors) == 20
            ids = [each.image.image_id for each in answer.neighbors]
            for label in answer.labels:
                assert label.probability == pytest.approx(label.vote_share, abs=1e-5)
                assert [i for i in ids if known.shown[i].shape == label.name] == list(
                    label.neighbor_image_ids
                )
            right += answer.labels[0].name == drawing.shape

        assert right >= 0.6 * len(drawings)

    async def test_both_kinds_of_evidence_are_better_than_votes_alone(
        self, images: ImageSearchServiceAsyncStub, known: Known
    ) -> None:
        drawings = held_out(40, seed=31)
        right = 0
        for drawing in drawings:
            answer = await self.identify(
                images, image=picture(drawing), index=known.name, label_set="drawings", top_k=100
            )
            chances = [label.probability for label in answer.labels]
            assert sum(chances) + answer.unknown_probability == pytest.approx(1, abs=1e-5)
            best = answer.labels[0]
            right += best.name == drawing.shape and not answer.unknown
            assert best.display_names["de"]

        assert right >= 0.9 * len(drawings)

    async def test_an_index_without_labels_is_zero_shot_alone(
        self, images: ImageSearchServiceAsyncStub, small: Known
    ) -> None:
        image = picture(held_out(1, seed=3)[0])
        options: dict[str, Any] = {"image": image, "label_set": "drawings"}
        alone = await images.Classify(classification.ClassifyRequest(**options), timeout=30)

        joint = await self.identify(
            images, index=small.name, label_field="attributes.none", **options
        )
        nothing = await self.identify(
            images, index=small.name, label_field="attributes.none", image=image
        )

        assert [(each.name, each.probability) for each in joint.labels] == [
            (each.name, pytest.approx(each.probability, abs=1e-5)) for each in alone.labels
        ]
        assert (nothing.unknown, nothing.unknown_probability) == (True, 1)
        assert not nothing.labels
        assert len(nothing.neighbors) == 20

    async def test_a_label_of_the_index_that_the_request_has_not(
        self, images: ImageSearchServiceAsyncStub, known: Known
    ) -> None:
        """What the texts do not know, the neighbours may."""
        wanted = next(key for key, each in known.shown.items() if each.shape == "moon")
        answer = await self.identify(
            images,
            image_id=wanted,
            index=known.name,
            labels=labels_in("en", ("star", "cross", "heart")),
            label_field="attributes.shape",
            filter=terms("attributes.shape", "moon"),
        )

        assert answer.labels[0].name == "moon"
        assert answer.labels[0].zero_shot_probability == 0
        assert wanted not in [each.image.image_id for each in answer.neighbors]

    async def test_neighbors_labels_may_be_any_name_of_the_label(
        self, images: ImageSearchServiceAsyncStub, new_index: str
    ) -> None:
        content = picture(held_out(8, seed=3)[3])
        upload = pb.ImageUpload(content=content, tags=["星星"])
        await images.IndexImage(
            pb.IndexImageRequest(
                index=new_index, image=upload, refresh=types.REFRESH_POLICY_IMMEDIATE
            )
        )
        answer = await self.identify(
            images, image=content, index=new_index, label_set="drawings", neighbor_count=1
        )

        assert answer.labels[0].name == "star"
        assert len(answer.labels[0].neighbor_image_ids) == 1


LABELS = classification.Labels(labels=[classification.Label(name="a")])


def labels_with(**changes: Any) -> dict[str, Any]:
    return {"labels": classification.Labels(**{"labels": LABELS.labels, **changes})}


def label_with(**changes: Any) -> dict[str, Any]:
    return labels_with(labels=[classification.Label(**{"name": "a", **changes})])


BAD_LABELS: list[tuple[dict[str, Any], str]] = [
    (labels_with(labels=[]), "labels.labels"),
    (
        labels_with(labels=[classification.Label(name=str(n)) for n in range(1_001)]),
        "labels.labels",
    ),
    (labels_with(labels=[*LABELS.labels, *LABELS.labels]), "labels.labels[1].name"),
    (label_with(name=""), "labels.labels[0].name"),
    (label_with(name=" \n"), "labels.labels[0].name"),
    (label_with(name="x" * 257), "labels.labels[0].name"),
    (label_with(texts=["a"] * 21), "labels.labels[0].texts"),
    (label_with(texts=["a", ""]), "labels.labels[0].texts[1]"),
    (label_with(texts=["x" * 1_001]), "labels.labels[0].texts[0]"),
    (label_with(display_names={"": "a"}), "labels.labels[0].display_names"),
    (label_with(display_names={"en": ""}), "labels.labels[0].display_names[en]"),
    (
        label_with(display_names={str(n): "a" for n in range(101)}),
        "labels.labels[0].display_names",
    ),
    (labels_with(templates=["{}"] * 101), "labels.templates"),
    (labels_with(templates=["{}", "no place"]), "labels.templates[1]"),
    (labels_with(templates=["{} {}"]), "labels.templates[0]"),
    (labels_with(templates=[""]), "labels.templates[0]"),
    (labels_with(templates=["{}" + "x" * 1_000]), "labels.templates[0]"),
    (
        labels_with(
            labels=[classification.Label(name=str(n)) for n in range(1_000)],
            templates=[f"{n} {{}}" for n in range(21)],
        ),
        "labels.templates",
    ),
    ({"labels": None}, "choice"),
    ({"label_set": ""}, "label_set"),
]

BAD_SOURCES: list[tuple[dict[str, Any], str]] = [
    ({"image": None}, "source"),
    ({"image": b""}, "image"),
    ({"image": b"no image"}, "image"),
    ({"image_id": "../x"}, "image_id"),
    ({"index": "No Name"}, "index"),
    ({"region": queries_pb.Region()}, "region"),
    ({"region": queries_pb.Region(box=queries_pb.Box(right=2, bottom=1))}, "region.box"),
    ({"region": queries_pb.Region(box=queries_pb.Box(right=NaN, bottom=1))}, "region.box"),
    (
        {"region": queries_pb.Region(pixels=queries_pb.PixelBox(width=9_999, height=1))},
        "region.pixels",
    ),
    ({"top_k": 0}, "top_k"),
    ({"top_k": -1}, "top_k"),
    ({"top_k": 1_001}, "top_k"),
]

BAD_BATCH: list[tuple[dict[str, Any], str]] = [
    ({"index": ""}, "index"),
    ({"index": "No Name"}, "index"),
    ({"filter": terms("no_such", "x")}, "filter.terms.field"),
    ({"tag_prefix": "x" * 101}, "tag_prefix"),
    ({"min_probability": -0.1}, "min_probability"),
    ({"min_probability": 1.1}, "min_probability"),
    ({"min_probability": NaN}, "min_probability"),
    ({"top_k": 0}, "top_k"),
    ({"top_k": 101}, "top_k"),
    ({"resume_token": "nonsense"}, "resume_token"),
    ({"resume_token": "bnVsbA=="}, "resume_token"),
    ({"resume_token": "WyJhIiwgMSwgMiwgM10="}, "resume_token"),
]

BAD_IDENTIFY: list[tuple[dict[str, Any], str]] = [
    ({"label_field": "caption"}, "label_field"),
    ({"label_field": "attributes."}, "label_field"),
    ({"label_field": "attributes." + "x" * 300}, "label_field"),
    ({"neighbor_count": 0}, "neighbor_count"),
    ({"neighbor_count": 101}, "neighbor_count"),
    ({"filter": terms("no_such", "x")}, "filter.terms.field"),
]


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A request's fields with a change; members of one oneof replace each other."""
    ones = ({"labels", "label_set"}, {"image", "url", "image_id"})
    away = {name for one in ones if one & change.keys() for name in one}
    kept = {name: value for name, value in base.items() if name not in away}
    return {**kept, **change}


class TestBadRequests:
    @pytest.mark.parametrize(("change", "field"), [*BAD_LABELS, *BAD_SOURCES])
    async def test_classify(
        self,
        images: ImageSearchServiceAsyncStub,
        known: Known,
        change: dict[str, Any],
        field: str,
    ) -> None:
        base = {"image": a_picture(1), "index": known.name, "labels": LABELS}
        request = classification.ClassifyRequest(**merged(base, change))
        self.check(await refusal(images.Classify(request, timeout=10)), field)

    @pytest.mark.parametrize(("change", "field"), [*BAD_LABELS, *BAD_BATCH])
    async def test_classify_batch(
        self,
        images: ImageSearchServiceAsyncStub,
        known: Known,
        change: dict[str, Any],
        field: str,
    ) -> None:
        base = {"index": known.name, "labels": LABELS}
        self.check(await refusal(batch(images, **merged(base, change))), field)

    @pytest.mark.parametrize(
        ("change", "field"),
        [*(bad for bad in BAD_LABELS if bad[1] != "choice"), *BAD_SOURCES, *BAD_IDENTIFY],
    )
    async def test_identify(
        self,
        images: ImageSearchServiceAsyncStub,
        known: Known,
        change: dict[str, Any],
        field: str,
    ) -> None:
        base = {"image": a_picture(1), "index": known.name, "labels": LABELS}
        request = classification.IdentifyRequest(**merged(base, change))
        self.check(await refusal(images.Identify(request, timeout=10)), field)

    def check(self, refused: Refusal, field: str) -> None:
        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])

    async def test_everything_wrong_is_said_at_once(
        self, images: ImageSearchServiceAsyncStub
    ) -> None:
        request = classification.IdentifyRequest(index="No", top_k=0, neighbor_count=0)

        refused = await refusal(images.Identify(request))

        assert set(refused.fields) == {"source", "index", "top_k", "neighbor_count"}

    async def test_label_sets_that_are_not_there(
        self, images: ImageSearchServiceAsyncStub, known: Known
    ) -> None:
        named = {"label_set": "no-such"}
        calls = [
            images.GetLabelSet(classification.GetLabelSetRequest(name="no-such")),
            images.Classify(classification.ClassifyRequest(image=a_picture(1), **named)),
            images.Identify(classification.IdentifyRequest(image=a_picture(1), **named)),
            batch(images, index=known.name, **named),
        ]
        for call in calls:
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (
                grpc.StatusCode.NOT_FOUND,
                "LABEL_SET_NOT_FOUND",
            )
        empty = await refusal(images.GetLabelSet(classification.GetLabelSetRequest()))
        assert empty.fields == ["name"]

    async def test_indexes_and_images_that_are_not_there(
        self, images: ImageSearchServiceAsyncStub, known: Known
    ) -> None:
        labelled: dict[str, Any] = {"labels": LABELS}
        lost = {"image_id": image_id("lost"), "index": known.name}
        for call in (
            images.Identify(
                classification.IdentifyRequest(image=a_picture(1), index="test-none", **labelled)
            ),
            batch(images, index="test-none", **labelled),
            images.Classify(classification.ClassifyRequest(**lost, **labelled)),
            images.Identify(classification.IdentifyRequest(**lost)),
        ):
            assert (await refusal(call)).code == grpc.StatusCode.NOT_FOUND

    async def test_urls_are_not_fetched_unless_allowed(
        self, images: ImageSearchServiceAsyncStub
    ) -> None:
        url = "https://example.org/a.jpg"
        for call in (
            images.Classify(classification.ClassifyRequest(url=url, labels=LABELS)),
            images.Identify(classification.IdentifyRequest(url=url)),
        ):
            refused = await refusal(call)
            assert refused.code == grpc.StatusCode.PERMISSION_DENIED

    async def test_an_index_of_a_space_that_no_text_is_of(
        self,
        images: ImageSearchServiceAsyncStub,
        indexes: IndexServiceAsyncStub,
        new_index: str,
    ) -> None:
        await indexes.CreateIndex(index_pb.CreateIndexRequest(name=new_index, space="other@1"))
        request = classification.IdentifyRequest(image=a_picture(1), index=new_index)

        refused = await refusal(images.Identify(request))

        assert (refused.code, refused.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "SPACE_MISMATCH",
        )
