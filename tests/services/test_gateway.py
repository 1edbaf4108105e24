"""The gateway over gRPC, on the real embedder, the real search_service and Elasticsearch."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb
from imagesearch.search.v1 import index_service_pb2 as index_pb
from PIL import Image

from tests.helpers import Refusal, a_picture, each, encoded, ids_of, image_id, refusal, terms

if TYPE_CHECKING:
    from imagesearch.gateway.v1.image_search_service_pb2_grpc import ImageSearchServiceAsyncStub
    from imagesearch.search.v1.index_service_pb2_grpc import IndexServiceAsyncStub


async def store(
    images: ImageSearchServiceAsyncStub, index: str, content: bytes, **said: Any
) -> pb.IndexedImage:
    """Stores one image; searches then see it."""
    request = pb.IndexImageRequest(
        index=index,
        image=pb.ImageUpload(content=content, **said),
        refresh=types.REFRESH_POLICY_IMMEDIATE,
    )
    return (await images.IndexImage(request, timeout=30)).indexed


async def find(
    images: ImageSearchServiceAsyncStub, index: str, image: bytes, **options: Any
) -> list[queries_pb.SearchResult]:
    request = pb.SearchByImageRequest(index=index, image=image, **options)
    return list((await images.SearchByImage(request, timeout=30)).results)


@pytest.fixture(scope="session")
async def filled(images: ImageSearchServiceAsyncStub, index_of_drawings: str) -> str:
    """An index of 30 drawings, sent on one stream."""
    requests = [
        pb.IndexImagesRequest(
            request_id=str(n),
            index=index_of_drawings,
            image=pb.ImageUpload(
                content=a_picture(n),
                relative_path=f"drawings/{n}.png",
                tags=["even" if n % 2 == 0 else "odd"],
            ),
        )
        for n in range(30)
    ]
    answers = {a.request_id: a async for a in images.IndexImages(each(requests), timeout=60)}
    assert set(answers) == {str(n) for n in range(30)}
    outcomes = {answer.indexed.outcome for answer in answers.values()}
    assert outcomes == {types.UPSERT_OUTCOME_CREATED}
    return index_of_drawings


class TestSearch:
    async def test_an_image_finds_itself_first(
        self, images: ImageSearchServiceAsyncStub, filled: str
    ) -> None:
        for n in range(0, 30, 5):
            found = await find(images, filled, a_picture(n), k=3)

            assert len(found) == 3
            assert found[0].image.relative_path == f"drawings/{n}.png"
            assert found[0].score == pytest.approx(1, abs=1e-3)
            assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)

    async def test_by_id_is_as_by_the_image_itself(
        self, images: ImageSearchServiceAsyncStub, filled: str
    ) -> None:
        by_image = await find(images, filled, a_picture(3), k=5)
        request = pb.SearchByImageRequest(index=filled, image_id=by_image[0].image.image_id, k=5)
        by_id = (await images.SearchByImage(request, timeout=10)).results

        assert ids_of(by_id) == ids_of(by_image)

    async def test_options_reach_the_search(
        self, images: ImageSearchServiceAsyncStub, filled: str
    ) -> None:
        found = await find(
            images, filled, a_picture(4), k=30, filter=terms("tags", "odd"), fields=["tags"]
        )

        assert len(found) == 15
        assert {tuple(result.image.tags) for result in found} == {("odd",)}
        assert {result.image.width for result in found} == {0}
        assert len(await find(images, filled, a_picture(4), min_score=0.999)) == 1

    async def test_by_text(self, images: ImageSearchServiceAsyncStub, filled: str) -> None:
        request = pb.SearchByTextRequest(index=filled, text="a red circle")
        response = await images.SearchByText(request, timeout=10)

        assert len(response.results) == 10
        assert not response.truncated

    async def test_a_text_longer_than_the_model_reads_is_cut_and_said_so(
        self, images: ImageSearchServiceAsyncStub, filled: str
    ) -> None:
        request = pb.SearchByTextRequest(index=filled, text="red circle " * 400)

        assert (await images.SearchByText(request, timeout=10)).truncated


class TestStoring:
    async def test_what_is_known_of_an_image(
        self, images: ImageSearchServiceAsyncStub, new_index: str
    ) -> None:
        """Size upright, format, hash and date are seen; the rest is as the sender said."""
        exif = Image.Exif()
        exif[0x0112] = 6  # turn right to see it upright
        exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
        content = encoded(Image.new("RGB", (80, 40), "teal"), "JPEG", exif=exif)

        indexed = await store(
            images,
            new_index,
            content,
            relative_path="holiday/pool.jpg",
            url="https://example.org/pool.jpg",
            page_url="https://example.org/",
            caption="a pool",
            tags=["blue"],
            attributes={"camera": "X100"},
        )

        request = pb.GetImageRequest(index=new_index, image_id=indexed.image_id)
        image = (await images.GetImage(request, timeout=10)).image
        assert image.image_id == indexed.image_id
        assert image.image_name == "pool.jpg"
        assert (image.width, image.height) == (40, 80)
        assert (image.format, image.size_bytes) == ("JPEG", len(content))
        assert len(image.phash) == 16
        assert image.captured_at == Timestamp(seconds=1_580_702_706)
        assert list(image.tags) == ["blue"]
        assert dict(image.attributes) == {"camera": "X100"}
        assert image.sources[0].url == "https://example.org/pool.jpg"
        assert image.sources[0].first_seen_at.seconds > 1_700_000_000

    async def test_the_same_bytes_again_add_a_source_and_no_document(
        self, images: ImageSearchServiceAsyncStub, new_index: str
    ) -> None:
        first = await store(images, new_index, a_picture(1), relative_path="a.png")
        second = await store(images, new_index, a_picture(1), relative_path="b.png")
        third = await store(images, new_index, a_picture(1), relative_path="b.png")

        assert first.image_id == second.image_id == third.image_id
        assert [first.outcome, second.outcome, third.outcome] == [
            types.UPSERT_OUTCOME_CREATED,
            types.UPSERT_OUTCOME_MERGED,
            types.UPSERT_OUTCOME_UNCHANGED,
        ]
        found = await find(images, new_index, a_picture(1))
        assert [s.relative_path for s in found[0].image.sources] == ["a.png", "b.png"]
        assert len(found) == 1

    async def test_content_comes_back(
        self, images: ImageSearchServiceAsyncStub, new_index: str
    ) -> None:
        content = a_picture(1, side=1200, fmt="WEBP")
        key = {"index": new_index, "image_id": (await store(images, new_index, content)).image_id}

        original = await images.GetImageContent(
            pb.GetImageContentRequest(**key, variant=pb.IMAGE_VARIANT_ORIGINAL)
        )
        thumbnail = await images.GetImageContent(pb.GetImageContentRequest(**key))

        assert (original.content, original.content_type) == (content, "image/webp")
        assert thumbnail.content_type == "image/jpeg"
        assert Image.open(io.BytesIO(thumbnail.content)).size == (512, 512)

    async def test_what_is_deleted_is_gone(
        self, images: ImageSearchServiceAsyncStub, new_index: str
    ) -> None:
        gone = (await store(images, new_index, a_picture(1))).image_id
        left = (await store(images, new_index, a_picture(2))).image_id
        request = pb.DeleteImagesRequest(
            index=new_index,
            image_ids=[gone, image_id("never seen")],
            refresh=types.REFRESH_POLICY_IMMEDIATE,
        )

        deleted = await images.DeleteImages(request, timeout=10)

        assert list(deleted.deleted_image_ids) == [gone]
        assert list(deleted.missing_image_ids) == [image_id("never seen")]
        assert ids_of(await find(images, new_index, a_picture(1))) == [left]
        for call in (
            images.GetImage(pb.GetImageRequest(index=new_index, image_id=gone)),
            images.GetImageContent(pb.GetImageContentRequest(index=new_index, image_id=gone)),
        ):
            assert (await refusal(call)).code == grpc.StatusCode.NOT_FOUND
        again = await store(images, new_index, a_picture(1))
        assert again.outcome == types.UPSERT_OUTCOME_CREATED

    async def test_status_says_what_runs_and_what_is_there(
        self, images: ImageSearchServiceAsyncStub, filled: str
    ) -> None:
        status = await images.GetStatus(pb.GetStatusRequest(index=filled), timeout=10)

        assert {c.name: c.serving for c in status.components} == {
            "embedder_service": True,
            "search_service": True,
        }
        assert status.image_model == "tiny-clip"
        assert status.text_model == "tiny-clip-multilingual"
        assert status.space.startswith("tiny-clip@sha256:")
        assert status.index.document_count == 30
        assert status.index.space == status.space

    async def test_an_index_of_another_model_is_refused(
        self,
        images: ImageSearchServiceAsyncStub,
        indexes: IndexServiceAsyncStub,
        new_index: str,
    ) -> None:
        await indexes.CreateIndex(index_pb.CreateIndexRequest(name=new_index, space="other@1"))

        for call in (
            images.SearchByImage(pb.SearchByImageRequest(index=new_index, image=a_picture(1))),
            images.SearchByText(pb.SearchByTextRequest(index=new_index, text="a")),
            images.IndexImage(
                pb.IndexImageRequest(index=new_index, image=pb.ImageUpload(content=a_picture(1)))
            ),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "SPACE_MISMATCH",
            )


def _png_header(width: int, height: int) -> bytes:
    """A PNG that says it is large and has next to no data: a decompression bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


BAD_IMAGES = {
    "empty": (b"", "IMAGE_EMPTY"),
    "text posing as JPEG": (b"\xff\xd8this is no picture at all", "IMAGE_FORMAT_UNKNOWN"),
    "text": (b"hello " * 100, "IMAGE_FORMAT_UNKNOWN"),
    "truncated JPEG": (a_picture(1, 400, "JPEG")[:-2000], "IMAGE_UNDECODABLE"),
    "decompression bomb": (_png_header(60_000, 60_000), "IMAGE_TOO_LARGE"),
    "0-byte PNG": (b"\x89PNG\r\n\x1a\n", "IMAGE_"),
    "over the limit": (b"\xff\xd8" + b"\0" * (21 * 1024 * 1024), "IMAGE_TOO_LARGE"),
}


class TestBadInput:
    @pytest.mark.parametrize(("data", "reason"), BAD_IMAGES.values(), ids=BAD_IMAGES)
    async def test_a_bad_image_is_refused_by_name_and_the_next_call_works(
        self, images: ImageSearchServiceAsyncStub, filled: str, data: bytes, reason: str
    ) -> None:
        upload = pb.ImageUpload(content=data)
        calls = {
            "image": images.SearchByImage(pb.SearchByImageRequest(index=filled, image=data)),
            "image.content": images.IndexImage(pb.IndexImageRequest(index=filled, image=upload)),
        }
        for field, call in calls.items():
            refused = await refusal(call)
            assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
            assert refused.reason.startswith(reason)
            assert refused.fields == [field]
            assert refused.message.startswith(f"{field}:")

        assert len(await find(images, filled, a_picture(1), k=1)) == 1

    async def test_bad_images_cost_their_neighbors_in_a_stream_nothing(
        self, images: ImageSearchServiceAsyncStub, new_index: str
    ) -> None:
        contents = [a_picture(1), *(data for data, _ in BAD_IMAGES.values()), a_picture(2)]
        requests = [
            pb.IndexImagesRequest(
                request_id=str(n), index=new_index, image=pb.ImageUpload(content=content)
            )
            for n, content in enumerate(contents)
        ]

        answers = {a.request_id: a async for a in images.IndexImages(each(requests), timeout=60)}

        assert len(answers) == len(contents)
        stored = {n for n, answer in answers.items() if answer.HasField("indexed")}
        assert stored == {"0", str(len(contents) - 1)}
        for n in set(answers) - stored:
            assert Refusal(answers[n].error).fields == ["image.content"]

    async def test_an_image_over_the_message_limit_is_refused_by_the_transport(
        self, images: ImageSearchServiceAsyncStub, filled: str
    ) -> None:
        request = pb.SearchByImageRequest(index=filled, image=b"\0" * (33 * 1024 * 1024))

        refused = await refusal(images.SearchByImage(request))

        assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(await find(images, filled, a_picture(1), k=1)) == 1

    async def test_unusual_images_are_not_bad_ones(
        self, images: ImageSearchServiceAsyncStub, new_index: str
    ) -> None:
        """An animation's first frame, CMYK, and a turned image are found by the plain picture."""
        plain = Image.open(io.BytesIO(a_picture(5, 200)))
        frames = [plain, Image.new("RGB", plain.size, "black")]
        turned = Image.Exif()
        turned[0x0112] = 8  # turn left to see it upright
        files = {
            "first frame": encoded(plain, "GIF", save_all=True, append_images=frames[1:]),
            "cmyk": encoded(plain.convert("CMYK"), "JPEG", quality=95),
            "turned": encoded(plain.rotate(-90, expand=True), "JPEG", quality=95, exif=turned),
            "16 bit grey": encoded(_grey_16(plain), "PNG"),
        }
        names = {
            (await store(images, new_index, data, image_name=name)).image_id: name
            for name, data in files.items()
        }
        await store(images, new_index, a_picture(6, 200))

        found = await find(images, new_index, encoded(plain, "PNG"))

        assert {names.get(image_id) for image_id in ids_of(found[:3])} == {
            "first frame",
            "cmyk",
            "turned",
        }
        assert min(result.score for result in found[:3]) > 0.98
        assert len(found) == 5

    @pytest.mark.parametrize("text", ["", " \n", "x" * 100_000], ids=["empty", "blank", "100 kB"])
    async def test_a_bad_text_is_refused(
        self, images: ImageSearchServiceAsyncStub, filled: str, text: str
    ) -> None:
        request = pb.SearchByTextRequest(index=filled, text=text)

        refused = await refusal(images.SearchByText(request))

        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["text"])

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"k": 0}, "k"),
            ({"k": 1_001}, "k"),
            ({"k": -1}, "k"),
            ({"num_candidates": 3}, "num_candidates"),
            ({"fields": ["no_such"]}, "fields[0]"),
            ({"filter": terms("no_such", "x")}, "filter.terms.field"),
            ({"index": "No Name"}, "index"),
            ({"index": "../../etc"}, "index"),
        ],
        ids=["k=0", "k=1001", "k=-1", "candidates", "fields", "filter", "index", "path"],
    )
    async def test_bad_options_are_named(
        self,
        images: ImageSearchServiceAsyncStub,
        filled: str,
        change: dict[str, Any],
        field: str,
    ) -> None:
        options = {"index": filled, **change}
        for call in (
            images.SearchByImage(pb.SearchByImageRequest(image=a_picture(1), **options)),
            images.SearchByText(pb.SearchByTextRequest(text="a", **options)),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])

    async def test_nothing_to_look_for(self, images: ImageSearchServiceAsyncStub) -> None:
        refused = await refusal(images.SearchByImage(pb.SearchByImageRequest()))

        assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["source"])

    async def test_an_unknown_index_is_said_so(self, images: ImageSearchServiceAsyncStub) -> None:
        for call in (
            images.SearchByImage(pb.SearchByImageRequest(index="test-none", image=a_picture(1))),
            images.SearchByText(pb.SearchByTextRequest(index="test-none", text="a")),
            images.GetImage(pb.GetImageRequest(index="test-none", image_id=image_id(1))),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (
                grpc.StatusCode.NOT_FOUND,
                "INDEX_NOT_FOUND",
            )

    async def test_ids_that_are_none(self, images: ImageSearchServiceAsyncStub) -> None:
        for call, field in (
            (images.GetImage(pb.GetImageRequest(image_id="../x")), "image_id"),
            (images.GetImageContent(pb.GetImageContentRequest(image_id="X" * 64)), "image_id"),
            (images.DeleteImages(pb.DeleteImagesRequest(image_ids=["x"])), "image_ids[0]"),
            (images.DeleteImages(pb.DeleteImagesRequest()), "image_ids"),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])

    async def test_urls_are_not_fetched_unless_allowed(
        self, images: ImageSearchServiceAsyncStub
    ) -> None:
        request = pb.SearchByImageRequest(url="https://example.org/a.jpg")

        refused = await refusal(images.SearchByImage(request))

        assert (refused.code, refused.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "URL_FORBIDDEN",
        )


def _grey_16(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L"), dtype=np.uint16) * 257
    return Image.fromarray(grey)
