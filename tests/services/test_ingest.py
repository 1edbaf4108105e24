"""Ingest from every kind of source, against a real gateway: what is stored, remembered, refused."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import search_service_pb2 as search_pb

from imagesearch_client import AsyncClient
from imagesearch_ingest.items import SourceError
from imagesearch_ingest.journal import Journal
from imagesearch_ingest.listing import Choice
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.metadata import Describing
from imagesearch_ingest.opening import Kind, Opening
from imagesearch_ingest.pruning import PruneRefusedError
from imagesearch_ingest.report import Report, Table
from imagesearch_ingest.running import Pruning, Run
from imagesearch_ingest.settings import Settings
from tests.helpers import a_picture, eventually

if TYPE_CHECKING:
    from imagesearch.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub
    from imagesearch.search.v1.search_service_pb2_grpc import SearchServiceAsyncStub

COUNT = 6


@pytest.fixture(scope="module")
async def client(gateway_address: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(gateway_address) as opened:
        yield opened


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    opened = Journal(tmp_path / "state" / "journal.sqlite")
    yield opened
    opened.close()


Ingest = Callable[..., Any]


@pytest.fixture
def ingest(client: AsyncClient, journal: Journal, new_index: str) -> Ingest:
    """Runs an ingest into the test's index; gives the report."""

    async def once(
        place: Path | str,
        opening: Opening = Opening(),  # noqa: B008
        pruning: Pruning | None = None,
        **options: Any,
    ) -> Report:
        report = Report()
        settings = Settings(readers=2, **options)
        source = opening.open(str(place))
        run = Run(client, source, new_index, journal, settings, report, Table(None), pruning)
        await run.once()
        return report

    return once


def pictures(folder: Path, count: int = COUNT) -> Path:
    """A folder of pictures with sidecars."""
    (folder / "deep").mkdir(parents=True)
    for number in range(count):
        path = folder / ("deep" if number % 2 else "") / f"p{number}.png"
        path.write_bytes(a_picture(number))
        said = {"caption": f"number {number}", "tags": ["drawn", f"n{number}"], "url": ""}
        path.with_suffix(".json").write_text(json.dumps(said | {"attributes": {"n": number}}))
    return folder


async def documents(search: SearchServiceAsyncStub, index: str) -> dict[str, Any]:
    """All documents and vectors of an index, without times of our own."""
    request = search_pb.ListDocumentsRequest(index=index, include_vectors=True, page_size=1_000)
    found = (await search.ListDocuments(request)).documents
    for each in found:
        each.document.ClearField("indexed_at")
        for source in each.document.sources:
            source.ClearField("first_seen_at")
            source.ClearField("last_seen_at")
    return {each.document.image_id: each for each in found}


async def embedded(embedder: EmbedderServiceAsyncStub) -> int:
    """Images that the embedder was asked to embed since it started."""
    answer = await embedder.GetStatistics(embedder_pb.GetStatisticsRequest())
    return sum(m.computed for m in answer.models if m.modality == embedder_pb.MODALITY_IMAGE)


async def test_a_folder_goes_in_with_what_its_sidecars_say(
    ingest: Ingest, search: SearchServiceAsyncStub, new_index: str, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "in")

    report = await ingest(folder, describing=Describing(tags=["all"]))

    assert report.outcomes == {"created": COUNT}
    found = await documents(search, new_index)
    document = found[hashlib.sha256(a_picture(1)).hexdigest()].document
    assert document.relative_path == "deep/p1.png"
    assert document.caption == "number 1"
    assert list(document.tags) == ["all", "drawn", "n1"]
    assert document.attributes == {"n": "1"}


async def test_a_second_run_reads_and_sends_nothing(
    ingest: Ingest, embedder: EmbedderServiceAsyncStub, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "in")
    await ingest(folder)
    before = await embedded(embedder)

    report = await ingest(folder)

    assert (report.known, report.stored) == (COUNT, COUNT)
    assert await embedded(embedder) == before


async def test_only_what_changed_is_sent_again(
    ingest: Ingest,
    embedder: EmbedderServiceAsyncStub,
    search: SearchServiceAsyncStub,
    new_index: str,
    tmp_path: Path,
) -> None:
    """A touched file is read and not sent; one with another caption or other bytes is sent."""
    folder = pictures(tmp_path / "in")
    await ingest(folder)
    before = await embedded(embedder)
    os.utime(folder / "p0.png", ns=(1, 1))
    (folder / "p2.json").write_text(json.dumps({"caption": "another one"}))
    (folder / "p4.png").write_bytes(a_picture(99))

    report = await ingest(folder)

    assert report.known == COUNT - 3
    assert report.outcomes == {"unchanged": COUNT - 2, "merged": 1, "created": 1}
    assert await embedded(embedder) == before + 2
    found = await documents(search, new_index)
    assert found[hashlib.sha256(a_picture(2)).hexdigest()].document.caption == "another one"


async def test_another_label_is_put_on_what_is_known(
    ingest: Ingest, search: SearchServiceAsyncStub, new_index: str, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "in", 2)
    await ingest(folder, recipe="a")

    await ingest(folder, recipe="b", describing=Describing(tags=["more"]))

    found = await documents(search, new_index)
    assert all("more" in each.document.tags for each in found.values())


async def test_an_index_that_was_deleted_is_filled_again(
    ingest: Ingest, indexes: Any, new_index: str, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "in", 3)
    await ingest(folder)
    await indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=new_index))

    report = await ingest(folder)

    assert report.outcomes == {"created": 3}
    assert (await ingest(folder)).known == 3


async def test_what_was_refused_is_remembered(ingest: Ingest, tmp_path: Path) -> None:
    """It is not tried again until the file changes, or that is asked for."""
    folder = pictures(tmp_path / "in", 2)
    broken = folder / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no picture")
    (folder / "text.png").write_text("no picture at all")

    first = await ingest(folder)
    second = await ingest(folder)
    third = await ingest(folder, choice=Choice(retry_refused=True))
    broken.write_bytes(a_picture(7, fmt="JPEG"))
    fourth = await ingest(folder)

    assert {key for key, _ in first.refused} == {"broken.jpg", "text.png"}
    assert (second.refused_count, second.known_refused) == (0, 2)
    assert third.refused_count == 2
    assert (fourth.known_refused, fourth.outcomes["created"]) == (1, 1)


async def test_a_dry_run_does_nothing(ingest: Ingest, indexes: Any, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 2)

    dry = await ingest(folder, dry_run=True)
    real = await ingest(folder)

    assert (dry.to_send, dry.stored) == (2, 0)
    assert real.outcomes == {"created": 2}


def as_tar(folder: Path, file: Path) -> Path:
    """A webdataset shard: members of one key follow each other."""
    with tarfile.open(
        file, f"w:{file.suffix.removeprefix('.') if file.suffix != '.tar' else ''}"
    ) as tar:
        for image in sorted(folder.rglob("*.png")):
            for path in (image, image.with_suffix(".json")):
                tar.add(path, path.relative_to(folder).as_posix())
    return file


def as_zip(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as made:
        for path in sorted(folder.rglob("*.*")):
            made.write(path, path.relative_to(folder).as_posix())
    return file


def as_parquet(folder: Path, file: Path) -> Path:
    rows = []
    for image in sorted(folder.rglob("*.png")):
        said = json.loads(image.with_suffix(".json").read_text())
        path = image.relative_to(folder).as_posix()
        n = str(said["attributes"]["n"])
        row = {"jpg": image.read_bytes(), "path": path, "words": said["caption"]}
        rows.append(row | {"tags": said["tags"], "number": n})
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=4)
    return file


def as_manifest(folder: Path, file: Path) -> Path:
    with file.open("w") as lines:
        for image in sorted(folder.rglob("*.png")):
            said = json.loads(image.with_suffix(".json").read_text())
            sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
            path = image.relative_to(folder).as_posix()
            lines.write(json.dumps({"path": path, "sha256": sha256} | said) + "\n")
        lines.write('{"path": "cut sho')
    return file


async def test_the_same_pictures_from_anywhere_give_the_same_index(
    client: AsyncClient,
    journal: Journal,
    search: SearchServiceAsyncStub,
    new_index: str,
    tmp_path: Path,
) -> None:
    """Ids, vectors and fields, from folder, zip, tar, webdataset, parquet, manifest and fsspec."""
    folder = pictures(tmp_path / "in")
    remote = fsspec.filesystem("memory")
    remote.put(str(folder), "/pictures", recursive=True)
    mapping = Mapping.of(["caption=words", "attributes.n=number"])
    sources = {
        "folder": Opening().open(str(folder)),
        "zip": Opening().open(str(as_zip(folder, tmp_path / "a.zip"))),
        "tar": Opening().open(str(as_tar(folder, tmp_path / "shard-000.tar"))),
        "gz": Opening().open(str(as_tar(folder, tmp_path / "a.tar.gz"))),
        "braces": Opening(Kind.WEBDATASET).open(str(tmp_path / "shard-{000..000}.tar")),
        "parquet": Opening(mapping=mapping).open(str(as_parquet(folder, tmp_path / "a.parquet"))),
        "manifest": Opening().open(str(as_manifest(folder, folder / "manifest.jsonl"))),
        "memory": Opening().open("memory://pictures"),
    }
    expected: dict[str, Any] = {}
    for name, source in sources.items():
        index, report = f"{new_index}-{name}", Report()
        run = Run(client, source, index, journal, Settings(readers=2), report, Table(None))
        await run.once()

        found = await documents(search, index)
        assert report.outcomes == {"created": COUNT}, (name, report)
        expected = expected or found
        assert found.keys() == expected.keys(), name
        for image_id, each in found.items():
            assert each.document == expected[image_id].document, name
            assert each.vector.values == pytest.approx(expected[image_id].vector.values, abs=1e-4)


async def test_shards_that_are_done_are_not_opened_again(ingest: Ingest, tmp_path: Path) -> None:
    shard = as_tar(pictures(tmp_path / "in"), tmp_path / "a.tar.gz")
    await ingest(shard)
    found = shard.stat()
    shard.write_bytes(b"x" * found.st_size)
    os.utime(shard, ns=(found.st_atime_ns, found.st_mtime_ns))

    report = await ingest(shard)

    assert (report.known, report.refused_count) == (COUNT, 0)


async def test_hostile_archives_are_refused_item_by_item(ingest: Ingest, tmp_path: Path) -> None:
    file = tmp_path / "hostile.zip"
    bomb = b"\x89PNG\r\n\x1a\n" + b"\0" * (25 * 1024 * 1024)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("good.png", a_picture(1))
        made.writestr("../../out.png", a_picture(2))
        made.writestr("/etc/absolute.png", a_picture(3))
        made.writestr("C:/windows.png", a_picture(3))
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
        made.writestr("bomb.png", bomb)
        made.writestr("nested.zip", b"PK")
        made.writestr("text.jpg", "no picture")
        made.writestr("good-too.png", a_picture(4))
    data = bytearray(file.read_bytes())
    entry = data.rindex(b"bomb.png") - 46  # its size in the directory: a lie
    data[entry + 24 : entry + 28] = (1_000).to_bytes(4, "little")
    file.write_bytes(data)

    report = await ingest(file)

    reasons = {key.partition("!")[2]: reason for key, reason in report.refused}
    assert report.outcomes == {"created": 2}
    assert reasons.keys() == {
        *("../../out.png", "/etc/absolute.png", "C:/windows.png", "link.png"),
        *("bomb.png", "nested.zip", "text.jpg"),
    }
    assert all(reasons.values())


async def test_hostile_tars_are_refused_item_by_item(ingest: Ingest, tmp_path: Path) -> None:
    plain = tmp_path / "hostile.tar"
    with tarfile.open(plain, "w") as tar:

        def add(name: str, content: bytes = b"", **fields: Any) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))

        add("good.png", a_picture(1))
        add("../out.png", a_picture(2))
        add("/absolute.png", a_picture(2))
        add("soft.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add("hard.png", type=tarfile.LNKTYPE, linkname="good.png")
        add("device.png", type=tarfile.CHRTYPE)
        add("fifo.png", type=tarfile.FIFOTYPE)
        add("inner.tar.gz", b"x")
        add(os.fsdecode(b"caf\xe9.png"), a_picture(3))
        add("last.png", a_picture(4))
    cut = tmp_path / "lying.tar"
    with tarfile.open(plain) as tar:
        cut.write_bytes(plain.read_bytes()[: tar.getmember("last.png").offset_data + 10])

    report = await ingest(plain)
    of_cut = await ingest(cut)

    refused = {key.partition("!")[2] for key, _ in report.refused}
    assert report.outcomes == {"created": 3}
    assert refused == {
        *("../out.png", "/absolute.png", "soft.png", "hard.png", "device.png"),
        *("fifo.png", "inner.tar.gz"),
    }
    assert of_cut.stored == 2
    assert {key.partition("!")[2] for key, _ in of_cut.refused} > refused


async def test_hostile_manifests_are_refused_line_by_line(ingest: Ingest, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.png").write_bytes(a_picture(1))
    (tmp_path / "secret.png").write_bytes(a_picture(2))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "circle.png").symlink_to("circle.png")
    os.mkfifo(folder / "fifo.png")
    lines: list[Any] = [
        {"path": "good.png", "url": "http://x.example/a.png", "alt": "a thing", "page_title": "T"},
        {"path": "../secret.png"},
        {"path": str(tmp_path / "secret.png")},
        {"path": "link.png"},
        {"path": "circle.png"},
        {"path": "fifo.png"},
        {"path": "not-there.png"},
        {"path": "nul\0.png"},
        {"path": "good.png", "sha256": "0" * 64},
        {"path": 7},
        [1, 2],
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + "no json\n"
    (folder / "manifest.jsonl").write_text(text + "x" * (2 * 1024 * 1024) + "\n")

    report = await ingest(folder)

    assert report.outcomes == {"created": 1}
    assert report.refused_count == len(lines) - 1 + 2
    assert all(reason for _, reason in report.refused)


PRUNE = Pruning(limit=1.0)


async def test_prune_deletes_what_nothing_holds_any_more(
    ingest: Ingest, search: SearchServiceAsyncStub, new_index: str, tmp_path: Path
) -> None:
    """Also what a changed file held before; not what another path or another source has."""
    folder, other = pictures(tmp_path / "in"), pictures(tmp_path / "other", 1)
    shutil.copy(folder / "deep" / "p1.png", folder / "again.png")
    await ingest(folder)
    await ingest(other)
    (folder / "p0.png").unlink()  # the other folder has it
    (folder / "deep" / "p1.png").unlink()  # it is there twice
    (folder / "p2.png").unlink()
    (folder / "p4.png").write_bytes(a_picture(44))
    (folder / "deep" / "p3.png").rename(folder / "moved.png")

    report = await ingest(folder, pruning=PRUNE)

    expected = {hashlib.sha256(a_picture(n)).hexdigest() for n in (0, 1, 3, 5, 44)}
    await search_sees(search, new_index, expected)
    assert report.pruned == 2
    (folder / "moved.png").unlink()
    assert (await ingest(folder, pruning=PRUNE)).pruned == 1


async def search_sees(search: SearchServiceAsyncStub, index: str, expected: set[str]) -> None:
    async def same() -> None:
        assert (await documents(search, index)).keys() == expected

    await eventually(same, timeout_s=5)


async def test_prune_keeps_what_others_put_there(
    ingest: Ingest, images: Any, new_index: str, tmp_path: Path
) -> None:
    """Before this journal, or at a place that it does not know."""
    first = pb.ImageUpload(content=a_picture(0), relative_path="p0.png")
    await images.IndexImage(pb.IndexImageRequest(index=new_index, image=first))
    folder = pictures(tmp_path / "in", 3)
    await ingest(folder)
    also = pb.ImageUpload(content=a_picture(2), url="http://x.example/")
    await images.IndexImage(pb.IndexImageRequest(index=new_index, image=also))
    for name in ("p0.png", "p2.png"):
        (folder / name).unlink()

    report = await ingest(folder, pruning=PRUNE)

    assert (report.pruned, report.kept) == (0, 2)


async def test_prune_refuses_when_too_much_has_gone(ingest: Ingest, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in")
    await ingest(folder)
    shutil.move(folder, tmp_path / "away")

    with pytest.raises(SourceError):
        await ingest(folder, pruning=Pruning())
    folder.mkdir()
    with pytest.raises((PruneRefusedError, SourceError)):
        await ingest(folder, pruning=Pruning())
    shutil.rmtree(folder)
    shutil.move(tmp_path / "away", folder)
    assert (await ingest(folder, pruning=Pruning())).known == COUNT


async def test_watch_keeps_the_index_in_step(
    client: AsyncClient,
    journal: Journal,
    search: SearchServiceAsyncStub,
    new_index: str,
    tmp_path: Path,
) -> None:
    """Created, changed, moved and deleted; a file that is being written is waited for."""
    folder = pictures(tmp_path / "in", 2)
    report = Report()
    source = Opening(settle_s=0.4).open(str(folder))
    settings = Settings(readers=2)
    run = Run(client, source, new_index, journal, settings, report, Table(None), Pruning(limit=0.9))
    watching = asyncio.create_task(run.watch())
    ids = {n: hashlib.sha256(a_picture(n)).hexdigest() for n in range(20)}

    async def holds(*numbers: int) -> None:
        async def check() -> None:
            assert not watching.done()
            found = await documents(search, new_index)
            assert found.keys() == {ids[number] for number in numbers}

        await eventually(check, timeout_s=20)

    await holds(0, 1)
    (folder / "new" / "er").mkdir(parents=True)
    (folder / "new" / "er" / "c.png").write_bytes(a_picture(2))
    await holds(0, 1, 2)
    (folder / "p0.png").write_bytes(a_picture(3))
    await holds(3, 1, 2)
    (folder / "new").rename(folder / "newer")
    half = a_picture(5)
    with (folder / "slow.png").open("wb") as file:
        for start in range(0, len(half), len(half) // 6):
            file.write(half[start : start + len(half) // 6])
            file.flush()
            await asyncio.sleep(0.15)
    await holds(3, 1, 2, 5)
    assert report.refused_count == 0
    shutil.rmtree(folder / "newer")
    await holds(3, 1, 5)
    run.stop()
    await watching
