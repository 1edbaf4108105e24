"""Versions and duplicates among 10,000 images: found by the whole system, on the tiny model.

Scenes are drawn by seed, so that which of them are the same picture is known.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import image_search_service_pb2_grpc as pb_grpc
from imagesearch.gateway.v1 import versions_pb2
from PIL import Image

from benchmarks.load import percentile
from benchmarks.picture_versions import VERSIONS
from benchmarks.picture_versions import jpeg as recompressed
from benchmarks.report import Bar, Report, parser
from benchmarks.scenes import jpeg, scene
from benchmarks.servers import (
    elasticsearch,
    serving,
    serving_embedder,
    serving_gateway,
    serving_search,
)
from imagesearch_dev.models import TINY
from imagesearch_dev.processes import Process
from service_kit.client import channel

INDEX = "bench-versions"

PLANTED = (
    "half size",
    "JPEG quality 30",
    "watermark",
    "border",
    "greyscale",
    "colour shift",
    "text overlay",
)
"""Versions that groups of duplicates are made of."""

_MAKERS = {**VERSIONS, "JPEG quality 30": recompressed(30)}

_SIZES = (2, 2, 2, 3, 2, 4)
"""Images of a group, in turns."""

_MAX_MESSAGE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Collection:
    """What the index holds.

    Attributes:
        images: How many.
        groups: Of how many pictures there are several forms.
    """

    images: int
    groups: int

    def uploads(self) -> Iterator[tuple[str, bytes]]:
        """Paths and files: PICTURE/VERSION, pictures being numbers."""
        made = 0
        picture = 0
        while made < self.images:
            original = scene(picture)
            yield f"{picture}/original", jpeg(original)
            made += 1
            for version in self.versions(picture):
                yield f"{picture}/{version}", jpeg(_version(original, version, picture))
                made += 1
            picture += 1

    def versions(self, picture: int) -> list[str]:
        """Names of the planted versions of a picture."""
        if picture >= self.groups:
            return []
        count = _SIZES[picture % len(_SIZES)] - 1
        return [PLANTED[(picture + i) % len(PLANTED)] for i in range(count)]


def _version(original: Image.Image, version: str, seed: int) -> Image.Image:
    made = _MAKERS[version](original, random.Random(seed), [scene(10**9 + seed)] * 3)
    return made.original or made.image


class Gateway:
    """The system, and its gateway to be killed."""

    def __init__(self, address: str, process: Process, opened: grpc.aio.Channel) -> None:
        self.address = address
        self.process = process
        self.stub: Any = pb_grpc.ImageSearchServiceStub(opened)

    async def restart(self) -> None:
        """Kills it as a crash would, and starts it again."""
        self.process.kill()
        self.process.start()
        await serving(self.address, self.process)

    async def index(self, collection: Collection) -> float:
        """Stores everything; gives seconds."""

        async def requests() -> AsyncIterator[pb.IndexImagesRequest]:
            source = collection.uploads()
            while made := await asyncio.to_thread(lambda: [*_some(source, 20)]):
                for path, content in made:
                    image = pb.ImageUpload(content=content, relative_path=path)
                    yield pb.IndexImagesRequest(index=INDEX, image=image)

        began = time.perf_counter()
        async for answer in self.stub.IndexImages(requests()):
            assert answer.HasField("indexed"), answer
        return time.perf_counter() - began

    async def duplicates(
        self, scan_id: str = "", kill_at: float | None = None
    ) -> tuple[list[list[str]], versions_pb2.ScanProgress, versions_pb2.DuplicateSummary | None]:
        """Scans; gives groups of paths, the last progress, and the summary.

        Args:
            scan_id: Go on with this scan.
            kill_at: Share of the images after which the server is killed.
        """
        request = versions_pb2.FindDuplicatesRequest(index=INDEX, scan_id=scan_id)
        groups: list[list[str]] = []
        progress = versions_pb2.ScanProgress()
        async for answer in self.stub.FindDuplicates(request):
            match answer.WhichOneof("event"):
                case "progress":
                    progress = answer.progress
                    if kill_at and progress.checked_count >= kill_at * progress.total_count:
                        await self.restart()
                        return groups, progress, None
                case "group":
                    groups.append([image.image.relative_path for image in answer.group.images])
                case "summary":
                    return groups, progress, answer.summary
        raise AssertionError("the scan ended without a summary")


def _some(source: Iterator[Any], count: int) -> Iterator[Any]:
    for _, each in zip(range(count), source, strict=False):
        yield each


async def measure_versions(report: Report, gateway: Gateway, collection: Collection) -> None:
    """Time of FindVersions, and how often it finds the picture that a query was made of."""
    rng = random.Random(17)
    pictures = rng.sample(range(collection.groups, collection.images // 2), 8)
    seconds: list[float] = []
    found: dict[str, list[bool]] = defaultdict(list)
    wrong = 0
    for picture in pictures:
        for version in VERSIONS:
            query = jpeg(_version(scene(picture), version, picture), 92)
            request = versions_pb2.FindVersionsRequest(index=INDEX, image=query)
            began = time.perf_counter()
            response = await gateway.stub.FindVersions(request, timeout=30)
            seconds.append(time.perf_counter() - began)
            paths = {each.image.relative_path for each in response.versions}
            found[version].append(f"{picture}/original" in paths)
            wrong += len(paths - {f"{picture}/original"})
    p50, p95 = percentile(seconds, 50), percentile(seconds, 95)
    count = collection.images
    report.add(Bar(f"FindVersions among {count}, p50, s", p50, 1.5, at_least=False))
    report.note("FindVersions, p95, s", p95)
    report.add(Bar("FindVersions: versions that are none", float(wrong), 0, at_least=False))
    for version, hits in found.items():
        report.note(f"FindVersions finds the original of: {version}", statistics.fmean(hits))


async def measure_duplicates(report: Report, gateway: Gateway, collection: Collection) -> None:
    """Whether FindDuplicates finds what was planted, and finds it again after a kill."""
    began = time.perf_counter()
    groups, progress, summary = await gateway.duplicates()
    assert summary is not None
    seconds = time.perf_counter() - began
    wanted = {
        frozenset([f"{n}/original", *(f"{n}/{each}" for each in collection.versions(n))])
        for n in range(collection.groups)
    }
    whole = sum(frozenset(group) in wanted for group in groups)
    merged = sum(len({path.partition("/")[0] for path in group}) > 1 for group in groups)
    report.note("FindDuplicates, s", seconds)
    report.note("FindDuplicates, images a second", collection.images / seconds)
    report.note(
        "FindDuplicates, pairs compared an image", progress.compared_pairs / progress.total_count
    )
    report.add(Bar("FindDuplicates: planted groups found whole", whole / len(wanted), 1.0))
    report.add(Bar("FindDuplicates: groups of several pictures", float(merged), 0, at_least=False))
    _note_missed(report, groups, wanted)
    _, before, _ = await gateway.duplicates(kill_at=0.5)
    again, after, _ = await gateway.duplicates(before.scan_id)
    report.note("FindDuplicates, killed after images", before.checked_count)
    same = float(again == groups and after.compared_pairs == progress.compared_pairs)
    report.add(Bar("FindDuplicates: killed and gone on with, the same", same, 1.0))


def _note_missed(
    report: Report, groups: Sequence[Sequence[str]], wanted: set[frozenset[str]]
) -> None:
    together = {path: frozenset(group) for group in groups for path in group}
    missed: dict[str, int] = defaultdict(int)
    for group in wanted:
        picture = next(iter(group)).partition("/")[0]
        kept = together.get(f"{picture}/original", frozenset())
        for path in group - kept - {f"{picture}/original"}:
            missed[path.partition("/")[2]] += 1
    if missed:
        report.note("FindDuplicates, versions not with their original", dict(missed))


async def measure(report: Report) -> None:
    """Measures both on one index."""
    collection = Collection(1_000, 100) if report.quick else Collection(10_000, 1_000)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(elasticsearch("1g"))
        search = await stack.enter_async_context(serving_search(url))
        embedder, _ = await stack.enter_async_context(
            serving_embedder(Path(TINY.image), Path(TINY.text), "auto")
        )
        address, process = await stack.enter_async_context(
            serving_gateway(embedder, search, folder)
        )
        opened = await stack.enter_async_context(channel(address, max_message_bytes=_MAX_MESSAGE))
        gateway = Gateway(address, process, opened)
        seconds = await gateway.index(collection)
        report.note(
            f"{collection.images} images stored, images a second", collection.images / seconds
        )
        await measure_versions(report, gateway, collection)
        await measure_duplicates(report, gateway, collection)


def run(report: Report) -> None:
    """Measures FindVersions and FindDuplicates over an index."""
    print("\nversions and duplicates in an index")
    asyncio.run(measure(report))


def main() -> None:
    """Runs these parts of the benchmark alone."""
    chosen = parser("version_index", __doc__).parse_args()
    report = Report("version_index", chosen.quick)
    run(report)
    report.write(chosen.json)


if __name__ == "__main__":
    main()
