r"""The embedder against the bare model, and against other servers, on full-size random weights.

    python -m benchmarks.embedder [--quick] [--json FILE] [--infinity VENV]

Everything is measured in one run, in turns, so that ratios mean something on a machine whose
speed wanders. The peer, infinity_emb, needs an environment of its own:

    python -m venv VENV
    VENV/bin/pip install 'infinity_emb[server,torch,vision]==0.0.77' 'torch==2.6.*' \
        'torchvision==0.21.*' 'transformers==4.47.*' 'optimum==1.23.*' 'pyarrow<17' \
        'datasets<3' 'click<8.2'
"""

import asyncio
import gc
import io
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from imagesearch.embedder.v1 import embedder_service_pb2 as pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as pb_grpc

from benchmarks import bare, infinity, models
from benchmarks.load import Load, callers, offered, percentile, stream
from benchmarks.report import Bar, Report, parser
from benchmarks.servers import serving_embedder
from embedder_service.model import ImageTower, TextTower
from image_kit.decoding import ImageLimits
from imagesearch_dev.samples import photos
from service_kit.client import channel

# Longest side of the pictures in pixels: what the pictures of most data sets have.
_SIDE = 500


@dataclass
class Inputs:
    """What is embedded: as files and texts, and ready for the model."""

    files: list[bytes]
    squares: list[Any]
    texts: list[str]
    tokens: list[Any]

    @property
    def images(self) -> list[pb.EmbedInput]:
        """The files as a client sends them."""
        return [pb.EmbedInput(image=data) for data in self.files]

    @property
    def sentences(self) -> list[pb.EmbedInput]:
        """The texts as a client sends them."""
        return [pb.EmbedInput(text=text) for text in self.texts]


def prepare(images: ImageTower, texts: TextTower) -> tuple[Inputs, float]:
    """Makes the inputs, and measures the median seconds of preparing an image."""
    files = []
    for picture in photos().values():
        small = picture.convert("RGB")
        small.thumbnail((_SIDE, _SIDE))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    times, squares = [], []
    for data in files * 4:
        began = time.perf_counter()
        squares.append(images.recipe.prepare(data, ImageLimits()))
        times.append(time.perf_counter() - began)
    words, rng = models.WORDS.split(), random.Random(0)
    sentences = [" ".join(rng.choices(words, k=rng.randint(3, 10))) for _ in range(64)]
    tokens = [texts.recipe.prepare(text) for text in sentences]
    return Inputs(files, squares[: len(files)], sentences, tokens), statistics.median(times)


@dataclass
class Times:
    """Seconds that each part is measured for, and rounds."""

    part: float
    rounds: int
    interactive: float
    overload: float


async def measure(report: Report, venv: Path, times: Times) -> None:
    """Measures everything."""
    image_model, text_model = models.ensure()
    image_side, text_side = bare.Bare(image_model, "image"), bare.Bare(text_model, "text")
    image_tower = image_side.tower("torch", "float32")
    text_tower = text_side.tower("torch", "float32")
    assert isinstance(image_tower, ImageTower)
    assert isinstance(text_tower, TextTower)
    inputs, decode_s = prepare(image_tower, text_tower)
    report.note("decode and resize, ms an image", decode_s * 1000)
    peer: float | None = None
    gc.collect()
    gc.freeze()  # the callers should not stop for it while they measure
    for dtype in ("float32", "auto"):
        print(f"\nserver in {dtype}")
        async with (
            serving_embedder(image_model, text_model, dtype) as (address, pid),
            channel(address) as opened,
        ):
            stub = pb_grpc.EmbedderServiceStub(opened)
            listed = (await stub.ListModels(pb.ListModelsRequest())).models
            image_info, text_info = listed
            report.note(
                f"{dtype}: chosen",
                f"{image_info.backend} {image_info.dtype}, "
                f"batches of {image_info.limits.max_batch} images, "
                f"{text_info.limits.max_batch} texts",
            )
            label = image_info.dtype
            images = _Side(inputs.squares, inputs.images, image_side, image_info)
            texts = _Side(inputs.tokens, inputs.sentences, text_side, text_info)
            capacity = await _throughput(report, label, stub, images, times)
            await _alone(report, label, stub, images, decode_s, times)
            await _texts(report, label, stub, texts, times)
            if dtype == "auto" or not report.quick:
                await _interactive(report, label, stub, images, times)
                await _overload(report, label, stub, images, capacity, pid, times)
        if dtype == "float32":
            peer = await infinity.images_per_second(venv, image_model, inputs.files, times.part)
            if peer:
                report.note("infinity_emb, float32, 64 callers, images/s", peer)
    report.add(
        Bar(
            "our best dtype / infinity_emb, images/s at 64 callers",
            capacity / peer if peer else None,
            2.0,
            note="" if peer else f"no infinity_emb in {venv}; see --help",
        )
    )


@dataclass
class _Side:
    """One kind of input: ready for the model, as a client sends it; the model, bare and served."""

    ready: list[Any]
    inputs: list[pb.EmbedInput]
    bare: bare.Bare
    info: pb.Model


async def _throughput(report: Report, label: str, stub: Any, side: _Side, times: Times) -> float:
    """Callers and a stream against the bare model; gives the images/s of 64 callers."""
    torch_tower = side.bare.tower("torch", side.info.dtype)
    size, _ = bare.best(torch_tower, side.ready, times.part / 4)
    own_tower = side.bare.tower(side.info.backend, side.info.dtype)
    own_size, _ = bare.best(own_tower, side.ready, times.part / 4)
    await callers(stub, side.inputs, 64, 2.0)
    rounds: dict[str, list[float]] = {}

    def keep(name: str, value: float) -> None:
        rounds.setdefault(name, []).append(value)

    for _ in range(times.rounds):
        keep("bare", bare.per_second(torch_tower, side.ready, size, times.part))
        keep("own", bare.per_second(own_tower, side.ready, own_size, times.part))
        for count in (64, 16, 4, 1):
            load = await callers(stub, side.inputs, count, times.part)
            keep(f"{count}", load.per_second)
        keep("stream", (await stream(stub, side.inputs, times.part)).per_second)
    median = {name: statistics.median(values) for name, values in rounds.items()}
    report.note(f"{label}: bare model (torch, batch {size}), images/s", median["bare"])
    report.note(
        f"{label}: its engine bare ({side.info.backend}, batch {own_size}), images/s",
        median["own"],
    )
    for count in (1, 4, 16, 64):
        report.note(f"{label}: served to {count} callers, images/s", median[str(count)])
    report.note(f"{label}: served by StreamEmbed, images/s", median["stream"])
    for name, what, bound in (("64", "64 callers", 0.95), ("stream", "StreamEmbed", 0.97)):
        ratio = _ratio(rounds[name], rounds["bare"])
        report.add(Bar(f"{label}: images/s at {what} / bare model", ratio, bound))
        report.note(f"{label}: the same / its engine bare", _ratio(rounds[name], rounds["own"]))
    return median["64"]


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios of each round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


async def _alone(
    report: Report, label: str, stub: Any, side: _Side, decode_s: float, times: Times
) -> None:
    tower = side.bare.tower("torch", side.info.dtype)
    ratios = []
    for _ in range(times.rounds):
        bare_s = bare.alone(tower, side.ready, 40)
        load = await callers(stub, side.inputs, 1, times.part)
        p50 = statistics.median(load.latencies)
        ratios.append(p50 / (bare_s + decode_s))
    report.note(f"{label}: single caller p50, ms", p50 * 1000)
    report.note(f"{label}: bare batch of one, ms", bare_s * 1000)
    ratio = statistics.median(ratios)
    bar = Bar(f"{label}: single caller p50 / (bare + decode)", ratio, 1.05, at_least=False)
    report.add(bar)


async def _texts(report: Report, label: str, stub: Any, side: _Side, times: Times) -> None:
    tower = side.bare.tower("torch", side.info.dtype)
    size, _ = bare.best(tower, side.ready, times.part / 4)
    await callers(stub, side.inputs, 64, 1.0)
    ours, theirs = [], []
    for _ in range(times.rounds):
        theirs.append(bare.per_second(tower, side.ready, size, times.part))
        ours.append((await callers(stub, side.inputs, 64, times.part)).per_second)
    report.note(f"{label}: bare texts/s (torch, batch {size})", statistics.median(theirs))
    report.note(f"{label}: served texts/s at 64 callers", statistics.median(ours))
    report.add(Bar(f"{label}: texts/s at 64 callers / bare", _ratio(ours, theirs), 0.9))


async def _batch_seconds(stub: Any, side: _Side) -> tuple[int, float]:
    """Batches of the largest size so far, and the seconds they took."""
    answer = await stub.GetStatistics(pb.GetStatisticsRequest(name=side.info.name))
    batch = answer.models[0].batches[-1]
    return batch.compute.count, batch.compute.total.ToNanoseconds() / 1e9


async def _interactive(report: Report, label: str, stub: Any, side: _Side, times: Times) -> None:
    count, seconds = await _batch_seconds(stub, side)
    latencies: list[float] = []

    async def now_and_then() -> None:
        while True:
            began = time.perf_counter()
            await stub.Embed(pb.EmbedRequest(inputs=[side.inputs[0]]))
            latencies.append(time.perf_counter() - began)
            await asyncio.sleep(0.05)

    bulk = asyncio.create_task(stream(stub, side.inputs, times.interactive))
    await asyncio.sleep(1.0)
    caller = asyncio.create_task(now_and_then())
    await bulk
    caller.cancel()
    count_after, seconds_after = await _batch_seconds(stub, side)
    batch = (seconds_after - seconds) / (count_after - count)
    p99 = percentile(latencies, 99)
    report.note(f"{label}: one bulk batch, ms", batch * 1000)
    report.note(
        f"{label}: interactive p50 / p99 under bulk, ms",
        f"{percentile(latencies, 50) * 1000:.0f} / {p99 * 1000:.0f} of {len(latencies)}",
    )
    bar = Bar(f"{label}: interactive p99 under bulk / one batch", p99 / batch, 2.5, at_least=False)
    report.add(bar)


async def _overload(
    report: Report, label: str, stub: Any, side: _Side, capacity: float, pid: int, times: Times
) -> None:
    process = psutil.Process(pid)
    memory: list[float] = []

    async def watch() -> None:
        while True:
            memory.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(1.0)

    await offered(stub, side.inputs, 4 * capacity, 3.0)  # fills the queue
    watcher = asyncio.create_task(watch())
    before = await callers(stub, side.inputs, 64, times.part)
    own, served = time.process_time(), sum(process.cpu_times()[:2])
    load: Load = await offered(stub, side.inputs, 4 * capacity, times.overload)
    own, served = time.process_time() - own, sum(process.cpu_times()[:2]) - served
    after = await callers(stub, side.inputs, 64, times.part)
    watcher.cancel()
    now = (before.per_second + after.per_second) / 2
    report.note(f"{label}: overload, calls by outcome", dict(load.codes))
    report.note(
        f"{label}: refused after, p50 / p99 ms",
        f"{percentile(load.refused, 50) * 1000:.1f} / {percentile(load.refused, 99) * 1000:.1f}",
    )
    report.note(
        f"{label}: cores used under overload, by the callers / by the server",
        f"{own / times.overload:.2f} / {served / times.overload:.2f} of {psutil.cpu_count()}",
    )
    goodput = load.per_second / now
    report.add(Bar(f"{label}: goodput at 4 x capacity / capacity", goodput, 0.95))
    third = len(memory) // 3
    growth = max(memory[-third:]) / max(memory[:third])
    bar = Bar(
        f"{label}: memory, last third / first third of overload", growth, 1.05, at_least=False
    )
    report.add(bar)
    p99 = percentile(load.refused, 99)
    report.add(Bar(f"{label}: refusal p99, s", p99, 0.1, at_least=False))


def main() -> None:
    """Runs the benchmark."""
    options = parser("embedder", __doc__)
    options.add_argument(
        "--infinity",
        type=Path,
        default=models.FOLDER.parent / "infinity",
        metavar="VENV",
        help="environment with infinity_emb",
    )
    chosen = options.parse_args()
    report = Report("embedder", chosen.quick)
    times = Times(1.0, 1, 9.0, 7.0) if chosen.quick else Times(6.0, 3, 36.0, 60.0)
    asyncio.run(measure(report, chosen.infinity, times))
    report.write(chosen.json)


if __name__ == "__main__":
    main()
