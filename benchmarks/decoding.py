"""What it costs to decode in processes of their own: side by side with threads, in one run.

    python -m benchmarks.decoding [--processes 2] [--images 300]

Processor time says what it costs whatever else the machine does; images a second and the median
need a machine that does nothing else.
"""

import argparse
import asyncio
import io
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import psutil
from PIL import Image

from embedder_service.shrinking import shrink
from image_kit.containment.bounds import Bounds
from image_kit.containment.decoders import Decoders, open_decoders
from image_kit.decoding import ImageLimits
from service_kit.cores import physical_cores

SIZES = ((32, 32), (640, 480), (2000, 1500))
ROUNDS = 5
LIMITS = ImageLimits()


@dataclass(frozen=True)
class Figures:
    """Of one way to decode.

    Attributes:
        cpu_ms: Processor time an image, of this process and of those that decode.
        p50_ms: Median time of one image, alone.
        rate: Images a second, all cores at work.
    """

    cpu_ms: float
    p50_ms: float
    rate: float


def photo(width: int, height: int) -> bytes:
    """A JPEG with about as much detail as a photo."""
    coarse = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height)).save(file, "JPEG", quality=88)
    return file.getvalue()


def measure(decoders: Decoders, data: bytes, threads: int, count: int) -> Figures:
    """Decodes one by one, then as fast as can be."""
    once = partial(decoders.run, shrink, data, LIMITS, shortest_edge=224, side=224, resample=3)
    before, singles = _cpu_s(), []
    for _ in range(count // 4):
        began = time.perf_counter()
        once()
        singles.append(time.perf_counter() - began)
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        for job in [pool.submit(once) for _ in range(count)]:
            job.result()
        took = time.perf_counter() - began
    cpu = (_cpu_s() - before) / (count + len(singles))
    return Figures(1e3 * cpu, 1e3 * statistics.median(singles), count / took)


def _cpu_s() -> float:
    every = (psutil.Process(), *psutil.Process().children())
    return sum(sum(each.cpu_times()[:2]) for each in every)


async def compare(processes: int, count: int) -> None:
    """Measures both in turn, and prints the medians of all rounds."""
    bounds = Bounds.of(30.0, 0, LIMITS.max_pixels)
    async with (
        open_decoders(0, [shrink], LIMITS, bounds) as in_threads,
        open_decoders(processes, [shrink], LIMITS, bounds) as in_processes,
    ):
        ways = {"threads": in_threads, "processes": in_processes}
        for size in SIZES:
            data = photo(*size)
            found: dict[str, list[Figures]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, decoders in ways.items():
                    figures = await asyncio.to_thread(measure, decoders, data, processes, count)
                    found[name].append(figures)
            for name, rounds in found.items():
                print(
                    f"{size[0]} x {size[1]}, {len(data)} bytes, {name}: "
                    f"{statistics.median(each.cpu_ms for each in rounds):.2f} ms of a processor, "
                    f"p50 {statistics.median(each.p50_ms for each in rounds):.2f} ms, "
                    f"{statistics.median(each.rate for each in rounds):.0f} images/s"
                )


def main() -> None:
    """Reads what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=physical_cores())
    parser.add_argument("--images", type=int, default=300)
    wanted = parser.parse_args()
    asyncio.run(compare(wanted.processes, wanted.images))


if __name__ == "__main__":
    main()
