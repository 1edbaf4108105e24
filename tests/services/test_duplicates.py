"""Duplicates of an index through the gateway: found, kept apart, broken off and gone on with."""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc
from imagesearch.gateway.v1 import versions_pb2
from PIL import Image, ImageOps

from service_kit.client import channel
from tests.conftest import INDEX_PREFIX
from tests.helpers import each, encoded, eventually, refusal, terms
from tests.services.test_versions import VERSIONS, at, clouds, collage
from tests.services_as_processes import Service

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub

SIDE = 160
SINGLES = 60
GROUPS: list[list[str]] = [
    ["RECOMPRESSED"],
    ["RESIZED"],
    ["CROPPED", "RECOMPRESSED"],
    ["OVERLAID"],
    ["GREYSCALE", "RESIZED", "PADDED"],
    ["RECOLOURED"],
]
"""Versions that are planted, beside the picture itself; pictures 0, 1, 2, …"""

Answers = list[versions_pb2.FindDuplicatesResponse]


def uploads() -> list[pb.ImageUpload]:
    """Pictures, versions of the first, and a collage of one of them."""
    pictures = [clouds(n, SIDE) for n in range(SINGLES + len(GROUPS))]
    made = [
        pb.ImageUpload(
            content=content, relative_path=f"{n}/itself", captured_at=at(2000 + n % 20), tags=["a"]
        )
        for n, content in enumerate(pictures)
    ]
    for n, planted in enumerate(GROUPS):
        picture = Image.open(io.BytesIO(pictures[n])).convert("RGB")
        for relation in planted:
            make, fmt, options = VERSIONS[relation]
            content = encoded(make(picture), fmt, **options)
            made.append(pb.ImageUpload(content=content, relative_path=f"{n}/{relation}"))
    both = collage(Image.open(io.BytesIO(pictures[0])).convert("RGB"))
    made.append(pb.ImageUpload(content=encoded(both, "JPEG"), relative_path="collage"))
    return made


async def store_all(images: ImageSearchServiceAsyncStub, index: str) -> None:
    requests = [pb.IndexImagesRequest(index=index, image=upload) for upload in uploads()]
    answers = [a async for a in images.IndexImages(each(requests), timeout=60)]
    assert all(answer.HasField("indexed") for answer in answers), answers


@pytest.fixture(scope="module")
async def planted(images: ImageSearchServiceAsyncStub) -> str:
    index = f"{INDEX_PREFIX}duplicates"
    await store_all(images, index)
    return index


async def find(images: ImageSearchServiceAsyncStub, index: str, **options: Any) -> Answers:
    request = versions_pb2.FindDuplicatesRequest(index=index, **options)
    return [answer async for answer in images.FindDuplicates(request, timeout=60)]


def remove(folder: Path, pattern: str) -> None:
    """Deletes files."""
    for file in folder.glob(pattern):
        file.unlink()


def groups(answers: Answers) -> list[versions_pb2.DuplicateGroup]:
    return [answer.group for answer in answers if answer.HasField("group")]


def paths(group: versions_pb2.DuplicateGroup) -> set[str]:
    return {image.image.relative_path for image in group.images}


WANTED = sorted(
    sorted({f"{n}/itself", *(f"{n}/{relation}" for relation in planted)})
    for n, planted in enumerate(GROUPS)
)


class TestFindDuplicates:
    async def test_every_group_is_found_and_none_merged(
        self, images: ImageSearchServiceAsyncStub, planted: str
    ) -> None:
        answers = await find(images, planted)

        found = groups(answers)
        assert sorted(sorted(paths(group)) for group in found) == WANTED
        kinds = [answer.WhichOneof("event") for answer in answers]
        assert kinds == sorted(kinds, key=["progress", "group", "summary"].index)
        assert kinds.count("summary") == 1
        last = [a.progress for a in answers if a.HasField("progress")][-1]
        assert last.checked_count == last.total_count == len(uploads())
        assert last.proven_pairs >= sum(map(len, GROUPS))
        assert last.compared_pairs >= last.proven_pairs
        summary = answers[-1].summary
        assert summary.group_count == len(GROUPS)
        assert summary.image_count == sum(len(group.images) for group in found)
        assert summary.reclaimable_bytes == sum(group.reclaimable_bytes for group in found)
        assert summary.skipped_count == 0

    async def test_what_is_said_of_a_group(
        self, images: ImageSearchServiceAsyncStub, planted: str
    ) -> None:
        found = groups(await find(images, planted))

        sizes = [group.reclaimable_bytes for group in found]
        assert sizes == sorted(sizes, reverse=True)
        for group in found:
            kept, *others = group.images
            assert group.keep_image_id == kept.image.image_id
            assert kept.relation == versions_pb2.RELATION_UNSPECIFIED
            assert group.reclaimable_bytes == sum(each.image.size_bytes for each in others)
            most = max(each.image.width * each.image.height for each in group.images)
            assert kept.image.width * kept.image.height == most
            assert all(0.5 <= each.confidence <= 1 for each in group.images)
            assert kept.image.sources  # all that is known of it
        small = next(group for group in found if "1/RESIZED" in paths(group)).images[1]
        assert small.image.relative_path == "1/RESIZED"
        assert small.relation == versions_pb2.RELATION_RESIZED

    async def test_the_oldest_may_be_kept(
        self, images: ImageSearchServiceAsyncStub, planted: str
    ) -> None:
        found = groups(await find(images, planted, keep=versions_pb2.KEEP_RULE_OLDEST))

        assert {group.images[0].image.relative_path for group in found} == {
            f"{n}/itself" for n in range(len(GROUPS))
        }

    async def test_options(self, images: ImageSearchServiceAsyncStub, planted: str) -> None:
        answers = await find(images, planted, filter=terms("tags", "a"))
        assert not groups(answers)
        assert answers[0].progress.total_count == SINGLES + len(GROUPS)

        sure = await find(images, planted, min_confidence=1)
        assert len(groups(sure)) < len(GROUPS)

        one = await find(images, planted, max_neighbors=1)
        assert len(groups(one)) >= len(GROUPS) - 1

    async def test_of_an_empty_index(
        self, images: ImageSearchServiceAsyncStub, planted: str
    ) -> None:
        answers = await find(images, planted, filter=terms("tags", "nothing has this"))

        assert answers[-1].summary == versions_pb2.DuplicateSummary()

    async def test_images_without_files_are_counted_and_cost_no_other(
        self, images: ImageSearchServiceAsyncStub, new_index: str, store_folder: Path
    ) -> None:
        ids = []
        picture = Image.open(io.BytesIO(clouds(900, SIDE))).convert("RGB")
        for made in (picture, ImageOps.expand(picture, 9), picture.convert("L")):
            upload = pb.ImageUpload(content=encoded(made, "PNG"))
            request = pb.IndexImageRequest(
                index=new_index, image=upload, refresh=types.REFRESH_POLICY_IMMEDIATE
            )
            ids.append((await images.IndexImage(request, timeout=30)).indexed.image_id)
        remove(store_folder, f"{new_index}/*/*/*/{ids[1]}")

        answers = await find(images, new_index)

        (group,) = groups(answers)
        assert {image.image.image_id for image in group.images} == {ids[0], ids[2]}
        assert answers[-1].summary.skipped_count == 1


class TestGoingOn:
    async def test_a_finished_scan_is_forgotten(
        self, images: ImageSearchServiceAsyncStub, planted: str, store_folder: Path
    ) -> None:
        scan_id = (await find(images, planted))[0].progress.scan_id

        assert not (store_folder / planted / "scans" / scan_id).exists()
        refused = await refusal(find(images, planted, scan_id=scan_id))
        assert refused.code == grpc.StatusCode.NOT_FOUND
        assert refused.reason == "SCAN_NOT_FOUND"

    async def test_a_stream_that_is_broken_off_stops_the_work_and_can_be_gone_on_with(
        self, images: ImageSearchServiceAsyncStub, planted: str, store_folder: Path
    ) -> None:
        wanted = await find(images, planted)
        call = images.FindDuplicates(versions_pb2.FindDuplicatesRequest(index=planted), timeout=60)
        first = await anext(aiter(call))
        call.cancel()
        file = store_folder / planted / "scans" / first.progress.scan_id
        assert file.exists()

        with_another_filter = await refusal(
            find(images, planted, scan_id=first.progress.scan_id, filter=terms("tags", "a"))
        )
        with_others = await refusal(
            find(images, planted, scan_id=first.progress.scan_id, max_neighbors=3)
        )
        answers = await find(images, planted, scan_id=first.progress.scan_id)

        assert with_another_filter.code == grpc.StatusCode.INVALID_ARGUMENT
        assert with_another_filter.fields == with_others.fields == ["scan_id"]
        assert groups(answers) == groups(wanted)
        assert answers[-1] == wanted[-1]
        assert not file.exists()

    async def test_scans_of_yesterday_are_swept(
        self, images: ImageSearchServiceAsyncStub, planted: str, store_folder: Path
    ) -> None:
        folder = store_folder / planted / "scans"
        folder.mkdir(exist_ok=True)
        for name, hours in (("a" * 32, 25), ("b" * 32, 23)):
            (folder / name).write_bytes(b"not a scan at all")
            os.utime(folder / name, (time.time() - 3600 * hours,) * 2)

        await find(images, planted)

        assert [file.name for file in folder.iterdir()] == ["b" * 32]
        unreadable = await refusal(find(images, planted, scan_id="b" * 32))
        assert unreadable.code == grpc.StatusCode.NOT_FOUND

    async def test_killed_in_the_middle_and_gone_on_with_it_finds_the_same(
        self,
        images: ImageSearchServiceAsyncStub,
        planted: str,
        store_folder: Path,
        embedder_address: str,
        search_address: str,
        tmp_path: Path,
    ) -> None:
        wanted = await find(images, planted)
        env = {
            "GATEWAY_EMBEDDER": embedder_address,
            "GATEWAY_SEARCH": search_address,
            "GATEWAY_STORE_URL": store_folder.as_uri(),
            "GATEWAY_SCAN_SAVE_INTERVAL_S": "0.001",
        }
        gateway = Service("gateway", tmp_path / "gateway.log", env)
        gateway.process.start()
        try:
            async with channel(gateway.address) as opened:
                killed = pb_grpc.ImageSearchServiceStub(opened)
                await eventually(lambda: killed.GetStatus(pb.GetStatusRequest(), timeout=2))
                progress = await killed_in_the_middle(killed, planted, gateway)
        finally:
            gateway.process.kill()

        assert 0 < progress.checked_count < progress.total_count
        answers = await find(images, planted, scan_id=progress.scan_id)

        assert answers[0].progress.checked_count >= progress.checked_count
        assert groups(answers) == groups(wanted)
        assert answers[-1] == wanted[-1]
        last = [a.progress for a in answers if a.HasField("progress")][-1]
        before = [a.progress for a in wanted if a.HasField("progress")][-1]
        assert last.compared_pairs == before.compared_pairs  # none twice, none left out
        assert last.proven_pairs == before.proven_pairs


async def killed_in_the_middle(
    images: ImageSearchServiceAsyncStub, index: str, gateway: Service
) -> versions_pb2.ScanProgress:
    """Begins a scan, and kills the server as soon as the scan has done a part."""
    request = versions_pb2.FindDuplicatesRequest(index=index)
    call: AsyncIterator[Any] = aiter(images.FindDuplicates(request, timeout=60))
    while True:
        progress: versions_pb2.ScanProgress = (await anext(call)).progress
        if progress.checked_count:
            gateway.process.kill()
            return progress


@pytest.mark.parametrize(
    ("change", "code", "fields"),
    [
        ({"index": "Bad"}, grpc.StatusCode.INVALID_ARGUMENT, ["index"]),
        ({"index": "no-such-index"}, grpc.StatusCode.NOT_FOUND, []),
        ({"filter": types.Filter()}, grpc.StatusCode.INVALID_ARGUMENT, ["filter"]),
        (
            {"filter": terms("width", "1")},
            grpc.StatusCode.INVALID_ARGUMENT,
            ["filter.terms.values[0]"],
        ),
        ({"scan_id": "../../secret"}, grpc.StatusCode.INVALID_ARGUMENT, ["scan_id"]),
        ({"scan_id": "0" * 32}, grpc.StatusCode.NOT_FOUND, []),
        ({"min_confidence": 1.5}, grpc.StatusCode.INVALID_ARGUMENT, ["min_confidence"]),
        ({"min_confidence": -0.5}, grpc.StatusCode.INVALID_ARGUMENT, ["min_confidence"]),
        ({"min_confidence": math.nan}, grpc.StatusCode.INVALID_ARGUMENT, ["min_confidence"]),
        ({"max_neighbors": 0}, grpc.StatusCode.INVALID_ARGUMENT, ["max_neighbors"]),
        ({"max_neighbors": 101}, grpc.StatusCode.INVALID_ARGUMENT, ["max_neighbors"]),
        ({"keep": 7}, grpc.StatusCode.INVALID_ARGUMENT, ["keep"]),
        (
            {"index": "Bad", "scan_id": "x", "max_neighbors": -1, "keep": 7},
            grpc.StatusCode.INVALID_ARGUMENT,
            ["index", "scan_id", "max_neighbors", "keep"],
        ),
    ],
)
async def test_bad_values(
    images: ImageSearchServiceAsyncStub,
    planted: str,
    change: dict[str, Any],
    code: grpc.StatusCode,
    fields: list[str],
) -> None:
    refused = await refusal(find(images, **{"index": planted, **change}))

    assert (refused.code, refused.fields) == (code, fields), refused
