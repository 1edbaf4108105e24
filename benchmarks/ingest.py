"""How fast images get into an index: beside the embedder alone, without a model, and unchanged.

`python -m benchmarks.ingest [--quick] [--json FILE]`
"""

import asyncio
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc

from benchmarks import models
from benchmarks.load import stream
from benchmarks.report import Bar, Report, parser
from benchmarks.servers import (
    elasticsearch,
    serving_embedder,
    serving_gateway,
    serving_search,
    serving_stub,
)
from imagesearch_client import AsyncClient
from imagesearch_dev.samples import photos
from imagesearch_ingest.journal import Journal
from imagesearch_ingest.opening import Opening
from imagesearch_ingest.report import Report as Outcome
from imagesearch_ingest.report import Table
from imagesearch_ingest.running import Run
from imagesearch_ingest.settings import Settings
from service_kit.client import channel

_SIDE = 512
_SAMPLE_S = 0.005
_WAITING = ("threading", "queue", "selectors")
_OURS = ("imagesearch_ingest", "imagesearch_client", "grpc", "sqlite3", "PIL")


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        unchanged: Files scanned.
        modelled: Images that a model embeds, in each round.
        rounds: Rounds.
        unmodelled: Images that go in without a model.
    """

    unchanged: int
    modelled: int
    rounds: int
    unmodelled: int


def make_photos(folder: Path, count: int, first: int = 0) -> Path:
    """Photos of at most 512 pixels a side, no two alike."""
    folder.mkdir(parents=True)
    sources = [picture.convert("RGB") for picture in photos().values()]
    for picture in sources:
        picture.thumbnail((_SIDE, _SIDE))
    for number in range(first, first + count):
        picture = sources[number % len(sources)].copy()
        corner = (number % 251, number // 251 % 251, number // 63_001)
        picture.paste(corner, (0, 0, 8, 8))
        picture.save(folder / f"{number:06d}.jpg", quality=85)
    return folder


def make_files(folder: Path, count: int) -> Path:
    """Small files that begin as JPEGs do, a thousand in a folder."""
    for number in range(count):
        if number % 1_000 == 0:
            (folder / f"{number // 1_000:04d}").mkdir(parents=True)
        path = folder / f"{number // 1_000:04d}" / f"{number:07d}.jpg"
        path.write_bytes(b"\xff\xd8\xff" + number.to_bytes(8, "little") * 64)
    return folder


async def ingest(address: str, folder: Path, journal: Path, index: str) -> tuple[Outcome, float]:
    """Indexes a folder as `imagesearch index` does; gives the report and the seconds."""
    outcome = Outcome()
    with closing(Journal(journal)) as opened:
        async with AsyncClient(address) as client:
            source = Opening().open(str(folder))
            run = Run(client, source, index, opened, Settings(), outcome, Table(None))
            began = time.perf_counter()
            await run.once()
            return outcome, time.perf_counter() - began


@contextmanager
def profiled(found: Counter[str]) -> Iterator[None]:
    """Samples what this process's threads do: by thread and our innermost function."""
    ended = threading.Event()
    own = threading.get_ident()

    def sample() -> None:
        names = {}
        while not ended.wait(_SAMPLE_S):
            names.update({each.ident: each.name for each in threading.enumerate()})
            for ident, frame in sys._current_frames().items():
                if ident not in (threading.get_ident(),):
                    stage = "event loop" if ident == own else names.get(ident, "?")
                    found[f"{stage.partition('_')[0]}: {_where(frame)}"] += 1

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield
    finally:
        ended.set()
        sampler.join()


def _where(frame: Any) -> str:
    """The innermost function of ours, or of those we know; "idle" where it waits."""
    inner = frame
    if inner.f_globals.get("__name__", "") in _WAITING or _waits(inner):
        return "idle"
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_OURS):
            return f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return f"{inner.f_globals.get('__name__', '')}.{inner.f_code.co_name}"


def _waits(frame: Any) -> bool:
    """It stands in a queue that is written in C, or sleeps."""
    return (frame.f_globals.get("__name__"), frame.f_code.co_name) in {
        ("imagesearch_ingest.recording", "_run"),
        ("concurrent.futures.thread", "_worker"),
        ("imagesearch_ingest.budget", "put"),
    }


class Cores:
    """Processor seconds of some processes, and of the machine, since it was made.

    Args:
        pids: Processes, by name; this one is "client".
    """

    def __init__(self, pids: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._processes["client"] = psutil.Process()
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {name: sum(p.cpu_times()[:2]) for name, p in self._processes.items()}

    def ms_each(self, images: int) -> dict[str, float]:
        """Milliseconds of a core for an image."""
        now = self._now()
        return {n: round((now[n] - self._before[n]) * 1000 / images, 2) for n in now}


async def unchanged(report: Report, folder: Path, sizes: Sizes) -> None:
    """The pipeline alone, against a gateway that answers at once; then all of it unchanged."""
    files = make_files(folder / "many", sizes.unchanged)
    journal = folder / "many.sqlite"
    async with serving_stub("gateway") as (address, pid):
        found: Counter[str] = Counter()
        cores = Cores({"stub gateway": pid})
        with profiled(found):
            outcome, seconds = await ingest(address, files, journal, "many")
        assert outcome.stored == sizes.unchanged, outcome
        each = cores.ms_each(sizes.unchanged)
        report.note("client alone, small files, images/s", sizes.unchanged / seconds)
        report.note("client alone, images/s a core", 1000 / each["client"])
        report.note("client alone, ms of a core an image", each)
        report.note("client alone, where its threads were", _shares(found))
        memory: list[float] = []
        process = psutil.Process()

        async def watch() -> None:
            while True:
                memory.append(process.memory_info().rss / 1e6)
                await asyncio.sleep(0.05)

        rates = []
        used = time.process_time()
        for _ in range(sizes.rounds):
            watcher = asyncio.create_task(watch())
            outcome, seconds = await ingest(address, files, journal, "many")
            watcher.cancel()
            assert outcome.known == sizes.unchanged, outcome
            rates.append(sizes.unchanged / seconds)
        used = time.process_time() - used
        report.note("unchanged files/s a core", sizes.unchanged * sizes.rounds / used)
        report.note("unchanged files/s, each round", [round(rate) for rate in rates])
        rate = statistics.median(rates)
        report.add(Bar(f"{sizes.unchanged} unchanged files: files/s", rate, 20_000))
        growth = max(memory) / memory[0]
        report.note("unchanged files: MB at first, at most", (round(memory[0]), round(max(memory))))
        bar = Bar("unchanged files: memory, most / at first", growth, 1.1, at_least=False)
        report.add(bar)
    shutil.rmtree(files)


def _shares(found: Counter[str]) -> dict[str, str]:
    busy = {name: count for name, count in found.items() if not name.endswith("idle")}
    total = sum(busy.values()) or 1
    return {n: f"{c / total:.0%}" for n, c in Counter(busy).most_common(14)}


async def without_model(report: Report, folder: Path, url: str, sizes: Sizes) -> None:
    """Everything but the model: gateway, image store, search_service and Elasticsearch."""
    pictures = make_photos(folder / "unmodelled", sizes.unmodelled)
    async with (
        serving_stub("embedder") as (embedder, stub_pid),
        serving_search(url) as search,
        serving_gateway(embedder, search, folder / "unmodelled-gateway") as (address, gateway),
    ):
        cores = Cores({"stub embedder": stub_pid, "gateway": gateway.pid})
        outcome, seconds = await ingest(address, pictures, folder / "a.sqlite", "unmodelled")
        assert outcome.stored == sizes.unmodelled, outcome
        report.note("model stubbed out: images/s", sizes.unmodelled / seconds)
        report.note("model stubbed out: ms of a core an image", cores.ms_each(sizes.unmodelled))


async def with_model(
    report: Report, folder: Path, url: str, sizes: Sizes, dtype: str, label: str
) -> None:
    """Ingest beside the embedder's own stream, of the same images, turn by turn."""
    image_model, text_model = models.ensure()
    ours: list[float] = []
    theirs: list[float] = []
    async with (
        serving_embedder(image_model, text_model, dtype) as (embedder, pid),
        serving_search(url) as search,
        serving_gateway(embedder, search, folder / f"{label}-gateway") as (address, gateway),
        channel(embedder) as opened,
    ):
        stub = embedder_grpc.EmbedderServiceStub(opened)
        each: dict[str, float] = {}
        for number in range(sizes.rounds):
            pictures = make_photos(
                folder / f"{label}-{number}", sizes.modelled, number * sizes.modelled
            )
            inputs = [
                embedder_pb.EmbedInput(image=file.read_bytes())
                for file in sorted(pictures.iterdir())
            ]
            theirs.append((await stream(stub, inputs, 5.0)).per_second)
            cores = Cores({"embedder": pid, "gateway": gateway.pid})
            journal = folder / f"{label}-{number}.sqlite"
            outcome, seconds = await ingest(address, pictures, journal, f"modelled-{label}")
            assert outcome.stored == sizes.modelled, outcome
            ours.append(sizes.modelled / seconds)
            each = cores.ms_each(sizes.modelled)
    report.note(f"{label}: StreamEmbed alone, images/s", statistics.median(theirs))
    report.note(f"{label}: ingest, images/s", statistics.median(ours))
    report.note(f"{label}: ms of a core an image", each)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    report.add(Bar(f"{label}: ingest / StreamEmbed, images/s", ratio, 0.95))


async def measure(report: Report, folder: Path, sizes: Sizes, parts: Sequence[str]) -> None:
    """Runs the parts."""
    if "unchanged" in parts:
        await unchanged(report, folder, sizes)
    if "model" in parts or "stub" in parts:
        with elasticsearch("1g") as url:
            if "stub" in parts:
                await without_model(report, folder, url, sizes)
            if "model" in parts:
                for dtype in ("float32", "auto"):
                    await with_model(report, folder, url, sizes, dtype, dtype)
    report.note(
        "most memory of the client, MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )


def main() -> None:
    """Runs the benchmark."""
    options = parser("ingest", __doc__)
    options.add_argument("--parts", default="unchanged,stub,model", help="which; commas between")
    chosen = options.parse_args()
    report = Report("ingest", chosen.quick)
    sizes = Sizes(20_000, 300, 1, 500) if chosen.quick else Sizes(100_000, 1_500, 3, 3_000)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(report, Path(folder), sizes, chosen.parts.split(",")))
    report.write(chosen.json)


if __name__ == "__main__":
    main()
