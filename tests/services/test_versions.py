"""Versions of images and their sources, through the gateway, on real photos."""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import versions_pb2
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from gateway.store import THUMBNAIL
from imagesearch_dev import samples
from tests.conftest import INDEX_PREFIX
from tests.helpers import Refusal, a_picture, each, encoded, image_id, refusal, terms

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub

Picture = Image.Image


def quarter(picture: Picture) -> Picture:
    return picture.resize((picture.width // 4, picture.height // 4), Image.Resampling.LANCZOS)


def crop(picture: Picture) -> Picture:
    """Three fifths of its width and height, from the upper left corner's neighbourhood."""
    width, height = picture.size
    return picture.crop((width // 10, height // 10, width * 7 // 10, height * 7 // 10))


def labelled(picture: Picture) -> Picture:
    changed = picture.copy()
    width, height = picture.size
    box = (width // 4, height * 3 // 4, width * 3 // 4, height * 9 // 10)
    ImageDraw.Draw(changed).rectangle(box, fill="yellow")
    return changed


def warmer(picture: Picture) -> Picture:
    red, green, blue = picture.split()
    return Image.merge("RGB", (red.point(lambda v: min(255, v * 5 // 4)), green, blue))


def collage(picture: Picture) -> Picture:
    """Four pictures, this one at the lower right."""
    width, height = picture.size
    paper = Image.new("RGB", (2 * width + 30, 2 * height + 30), "white")
    names = ("coffee.png", "astronaut.png", "china.jpg")
    others = [photo(each).resize(picture.size) for each in names]
    for n, part in enumerate([*others, picture]):
        paper.paste(part, (10 + n % 2 * (width + 10), 10 + n // 2 * (height + 10)))
    return paper


def clouds(seed: int, side: int = 240) -> bytes:
    """A picture of nothing: noise, coarse and fine."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side, 3))
    for cells in (4, 12, 40):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        total += np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC), np.float64)
    return encoded(Image.fromarray((total / 3).astype(np.uint8)), "PNG")


VERSIONS: dict[str, tuple[Callable[[Picture], Picture], str, dict[str, Any]]] = {
    "RECOMPRESSED": (lambda p: p, "JPEG", {"quality": 40}),
    "RESIZED": (quarter, "PNG", {}),
    "CROPPED": (crop, "JPEG", {"quality": 90}),
    "PADDED": (lambda p: ImageOps.expand(p, p.width // 8, "black"), "JPEG", {}),
    "OVERLAID": (labelled, "JPEG", {"quality": 90}),
    "RECOLOURED": (warmer, "PNG", {}),
    "GREYSCALE": (lambda p: p.convert("L").convert("RGB"), "JPEG", {"quality": 90}),
    "MIRRORED": (ImageOps.mirror, "JPEG", {"quality": 90}),
    "ROTATED": (lambda p: p.transpose(Image.Transpose.ROTATE_90), "JPEG", {"quality": 90}),
    "BLURRED": (lambda p: p.filter(ImageFilter.GaussianBlur(3)), "PNG", {}),
}
"""Versions by the relation that each must have."""


def at(year: int) -> Timestamp:
    return Timestamp(seconds=(year - 1970) * 31_556_952)


def photo(name: str) -> Picture:
    """A sample photo, 600 pixels wide or less."""
    picture = samples.photos()[name]
    picture.thumbnail((600, 600), Image.Resampling.LANCZOS)
    return picture


@pytest.fixture(scope="module")
def cat() -> bytes:
    return encoded(photo("chelsea.png"), "PNG")


@pytest.fixture(scope="module")
def version_bytes() -> dict[str, bytes]:
    picture = photo("chelsea.png")
    made = {
        relation: encoded(make(picture), fmt, **options)
        for relation, (make, fmt, options) in VERSIONS.items()
    }
    made["IDENTICAL_PIXELS"] = encoded(picture, "PNG", compress_level=1)
    made["COLLAGE"] = encoded(collage(picture), "JPEG", quality=90)
    return made


@pytest.fixture(scope="module")
async def stored(
    images: ImageSearchServiceAsyncStub, cat: bytes, version_bytes: dict[str, bytes]
) -> str:
    """An index of a photo, its versions, all other sample photos, and drawings."""
    index = f"{INDEX_PREFIX}versions"
    uploads = [pb.ImageUpload(content=cat, relative_path="cat.png", captured_at=at(2019))]
    uploads += [
        pb.ImageUpload(
            content=content,
            relative_path=f"versions/{relation}",
            url=f"https://example.org/{relation}",
            page_url="https://example.org/",
            tags=["version"],
        )
        for relation, content in version_bytes.items()
    ]
    for name, picture in samples.photos().items():
        if name != "chelsea.png":
            picture.thumbnail((600, 600))
            uploads.append(pb.ImageUpload(content=encoded(picture, "PNG"), relative_path=name))
    uploads += [pb.ImageUpload(content=a_picture(n), relative_path=f"{n}.png") for n in range(40)]
    requests = [pb.IndexImagesRequest(index=index, image=upload) for upload in uploads]
    answers = [a async for a in images.IndexImages(each(requests), timeout=60)]
    assert len(answers) == len(uploads)
    assert all(answer.HasField("indexed") for answer in answers), answers
    return index


async def find(
    images: ImageSearchServiceAsyncStub, index: str, timeout: float = 30, **options: Any
) -> versions_pb2.FindVersionsResponse:
    request = versions_pb2.FindVersionsRequest(index=index, **options)
    return await images.FindVersions(request, timeout=timeout)


def by_path(
    response: versions_pb2.FindVersionsResponse,
) -> dict[str, versions_pb2.Version]:
    return {version.image.relative_path: version for version in response.versions}


def name(relation: versions_pb2.Relation.ValueType) -> str:
    return versions_pb2.Relation.Name(relation).removeprefix("RELATION_")


class TestFindVersions:
    async def test_every_version_is_found_and_named_and_nothing_else(
        self,
        images: ImageSearchServiceAsyncStub,
        stored: str,
        cat: bytes,
        version_bytes: dict[str, bytes],
    ) -> None:
        found = await find(images, stored, image=cat)

        versions = by_path(found)
        assert set(versions) == {"cat.png", *(f"versions/{each}" for each in version_bytes)}
        assert name(versions.pop("cat.png").relation) == "IDENTICAL_BYTES"
        for path, version in versions.items():
            wanted = path.removeprefix("versions/")
            assert wanted in [name(each) for each in version.relations], (path, version)
            assert version.relation == version.relations[0]
        assert [v.confidence for v in found.versions] == sorted(
            (v.confidence for v in found.versions), reverse=True
        )
        assert (found.query_width, found.query_height) == photo("chelsea.png").size
        assert found.candidate_count == 50
        assert found.skipped_count == 0

    async def test_what_is_said_of_a_version(
        self, images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
    ) -> None:
        versions = by_path(await find(images, stored, image=cat))

        box = versions["versions/CROPPED"].query_box
        assert (box.left, box.top, box.right, box.bottom) == pytest.approx(
            (0.1, 0.1, 0.7, 0.7), abs=0.02
        )
        assert versions["versions/CROPPED"].query_overlap == pytest.approx(0.36, abs=0.02)
        assert versions["versions/CROPPED"].image_overlap == pytest.approx(1, abs=0.03)
        assert abs(versions["versions/ROTATED"].rotation_degrees) == pytest.approx(90, abs=1)
        changed = versions["versions/OVERLAID"].changed_boxes[0]
        assert (changed.left, changed.top, changed.right, changed.bottom) == pytest.approx(
            (0.25, 0.75, 0.75, 0.9), abs=0.03
        )
        mirrored = np.array(versions["versions/MIRRORED"].homography).reshape(3, 3)
        corner = mirrored @ (0, 0, 1)
        assert corner[:2] / corner[2] == pytest.approx((1, 0), abs=0.02)
        itself = versions["cat.png"]
        assert (itself.confidence, itself.query_overlap, itself.image_overlap) == (1, 1, 1)
        assert not itself.homography
        assert itself.score == pytest.approx(1, abs=1e-3)
        assert itself.score > versions["versions/COLLAGE"].score

    async def test_largest_and_earliest(
        self, images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
    ) -> None:
        versions = by_path(await find(images, stored, image=cat))

        assert [path for path, version in versions.items() if version.earliest] == ["cat.png"]
        assert [path for path, version in versions.items() if version.largest] == [
            "versions/COLLAGE"
        ]

    async def test_by_id_it_is_as_by_the_image_but_not_listed_itself(
        self, images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
    ) -> None:
        by_image = await find(images, stored, image=cat)
        itself = by_image.versions[0].image.image_id
        by_id = await find(images, stored, image_id=itself)

        ids = {version.image.image_id: version.relation for version in by_image.versions}
        del ids[itself]
        assert {v.image.image_id: v.relation for v in by_id.versions} == ids
        assert not any(version.earliest for version in by_id.versions)  # the query is
        assert (by_id.query_width, by_id.query_height) == (
            by_image.query_width,
            by_image.query_height,
        )

    async def test_of_another_picture_there_are_none(
        self, images: ImageSearchServiceAsyncStub, stored: str
    ) -> None:
        for seed in range(3):
            found = await find(images, stored, image=clouds(seed))

            assert not found.versions
            assert found.candidate_count == 50

    async def test_options(
        self, images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
    ) -> None:
        tagged = await find(images, stored, image=cat, filter=terms("tags", "version"))
        assert {tuple(version.image.tags) for version in tagged.versions} == {("version",)}

        few = await find(images, stored, image=cat, max_candidates=3)
        assert few.candidate_count == 3
        assert few.versions[0].image.relative_path == "cat.png"

        sure = await find(images, stored, image=cat, min_confidence=1.0)
        assert {name(version.relation) for version in sure.versions} <= {
            "IDENTICAL_BYTES",
            "IDENTICAL_PIXELS",
        }
        assert len(sure.versions) >= 2

        narrow = await find(images, stored, image=cat, fields=["format"])
        image = narrow.versions[0].image
        assert image == types.Document(image_id=image.image_id, format="PNG")
        assert narrow.versions[0].earliest

    async def test_a_candidate_without_its_files_is_skipped_and_counted(
        self,
        images: ImageSearchServiceAsyncStub,
        store_folder: Any,
        new_index: str,
    ) -> None:
        """Without its thumbnail alone it is compared by the original."""
        picture = Image.open(io.BytesIO(clouds(7)))
        ids = {}
        for relation in ("RESIZED", "MIRRORED", "CROPPED"):
            make, fmt, options = VERSIONS[relation]
            upload = pb.ImageUpload(content=encoded(make(picture), fmt, **options))
            request = pb.IndexImageRequest(
                index=new_index, image=upload, refresh=types.REFRESH_POLICY_IMMEDIATE
            )
            ids[relation] = (await images.IndexImage(request, timeout=30)).indexed.image_id
        for variant, relation in (
            (THUMBNAIL, "RESIZED"),
            (THUMBNAIL, "MIRRORED"),
            ("originals", "MIRRORED"),
        ):
            (found,) = store_folder.glob(f"{new_index}/{variant}/*/*/{ids[relation]}")
            found.unlink()

        response = await find(images, new_index, image=clouds(7))

        assert {v.image.image_id for v in response.versions} == {ids["RESIZED"], ids["CROPPED"]}
        assert (response.candidate_count, response.skipped_count) == (2, 1)

    async def test_when_time_is_over_the_rest_is_answered(
        self, images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
    ) -> None:
        response = await find(images, stored, image=cat, max_candidates=60, timeout=0.9)

        assert response.candidate_count + response.skipped_count == 60

    async def test_cancelled_calls_leave_the_server_as_it_was(
        self, images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
    ) -> None:
        request = versions_pb2.FindVersionsRequest(index=stored, image=cat, max_candidates=500)
        calls = [images.FindVersions(request) for _ in range(4)]
        await asyncio.sleep(0.3)
        for call in calls:
            call.cancel()

        assert (await find(images, stored, image=cat)).versions


class TestFindSource:
    async def test_earliest_first_with_the_page(
        self, images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
    ) -> None:
        request = versions_pb2.FindSourceRequest(index=stored, image=cat)
        found = await images.FindSource(request, timeout=30)

        assert len(found.sightings) == len(VERSIONS) + 3
        first = found.sightings[0]
        assert first.source.relative_path == "cat.png"
        assert first.earliest_at == at(2019)  # taken before it was seen
        assert name(first.relation) == "IDENTICAL_BYTES"
        assert {each.source.page_url for each in found.sightings[1:]} == {"https://example.org/"}
        times = [each.earliest_at.ToNanoseconds() for each in found.sightings]
        assert times == sorted(times)
        assert found.largest.relative_path == "versions/COLLAGE"
        shown = next(each for each in found.sightings if each.source.url.endswith("/RESIZED"))
        width, height = photo("chelsea.png").size
        assert (shown.width, shown.height) == (width // 4, height // 4)

    async def test_by_id_its_own_sources_count(
        self, images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
    ) -> None:
        by_image = await images.FindSource(
            versions_pb2.FindSourceRequest(index=stored, image=cat), timeout=30
        )
        request = versions_pb2.FindSourceRequest(
            index=stored, image_id=by_image.sightings[0].image_id
        )
        by_id = await images.FindSource(request, timeout=30)

        assert {each.image_id for each in by_id.sightings} == {
            each.image_id for each in by_image.sightings
        }
        assert by_id.sightings[0] == by_image.sightings[0]
        assert by_id.largest == by_image.largest

    async def test_of_what_nobody_has_seen(
        self, images: ImageSearchServiceAsyncStub, stored: str
    ) -> None:
        request = versions_pb2.FindSourceRequest(index=stored, image=clouds(2))
        found = await images.FindSource(request, timeout=30)

        assert not found.sightings
        assert not found.HasField("largest")


BAD: list[tuple[dict[str, Any], grpc.StatusCode, list[str]]] = [
    ({}, grpc.StatusCode.INVALID_ARGUMENT, ["source"]),
    ({"image": b""}, grpc.StatusCode.INVALID_ARGUMENT, ["image"]),
    ({"image": b"no image"}, grpc.StatusCode.INVALID_ARGUMENT, ["image"]),
    ({"image": "truncated"}, grpc.StatusCode.INVALID_ARGUMENT, ["image"]),
    ({"image": bytes(21 << 20)}, grpc.StatusCode.INVALID_ARGUMENT, ["image"]),
    ({"image_id": "x"}, grpc.StatusCode.INVALID_ARGUMENT, ["image_id"]),
    ({"image_id": image_id("unknown")}, grpc.StatusCode.NOT_FOUND, []),
    ({"url": "https://example.org/cat.png"}, grpc.StatusCode.PERMISSION_DENIED, []),
    ({"image": "cat", "index": "Bad"}, grpc.StatusCode.INVALID_ARGUMENT, ["index"]),
    ({"image": "cat", "index": "no-such-index"}, grpc.StatusCode.NOT_FOUND, []),
    ({"image": "cat", "max_candidates": 0}, grpc.StatusCode.INVALID_ARGUMENT, ["max_candidates"]),
    ({"image": "cat", "max_candidates": -1}, grpc.StatusCode.INVALID_ARGUMENT, ["max_candidates"]),
    ({"image": "cat", "max_candidates": 501}, grpc.StatusCode.INVALID_ARGUMENT, ["max_candidates"]),
    ({"image": "cat", "min_confidence": 1.1}, grpc.StatusCode.INVALID_ARGUMENT, ["min_confidence"]),
    (
        {"image": "cat", "min_confidence": -0.1},
        grpc.StatusCode.INVALID_ARGUMENT,
        ["min_confidence"],
    ),
    (
        {"image": "cat", "min_confidence": math.nan},
        grpc.StatusCode.INVALID_ARGUMENT,
        ["min_confidence"],
    ),
    ({"image": "cat", "filter": types.Filter()}, grpc.StatusCode.INVALID_ARGUMENT, ["filter"]),
    (
        {"image": "cat", "filter": terms("width", "1")},
        grpc.StatusCode.INVALID_ARGUMENT,
        ["filter.terms.values[0]"],
    ),
    (
        {"index": "Bad", "image_id": "x", "max_candidates": 0, "min_confidence": 2},
        grpc.StatusCode.INVALID_ARGUMENT,
        ["index", "image_id", "max_candidates", "min_confidence"],
    ),
]


@pytest.mark.parametrize("rpc", ["FindVersions", "FindSource"])
@pytest.mark.parametrize(("change", "code", "fields"), BAD)
async def test_bad_values(
    images: ImageSearchServiceAsyncStub,
    stored: str,
    cat: bytes,
    rpc: str,
    change: dict[str, Any],
    code: grpc.StatusCode,
    fields: list[str],
) -> None:
    values = {"index": stored, **change}
    if isinstance(values.get("image"), str):
        values["image"] = {"cat": cat, "truncated": cat[: len(cat) // 2]}[values["image"]]
    request = getattr(versions_pb2, f"{rpc}Request")(**values)

    refused: Refusal = await refusal(getattr(images, rpc)(request, timeout=30))

    assert (refused.code, refused.fields) == (code, fields), refused


async def test_unknown_fields_to_return(
    images: ImageSearchServiceAsyncStub, stored: str, cat: bytes
) -> None:
    refused = await refusal(find(images, stored, image=cat, fields=["width", "vector"]))

    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == ["fields[1]"]
