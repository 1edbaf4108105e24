"""image_kit.containment: what a file can do to the process that decodes it, and to nothing else."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from image_kit.containment.bounds import Bounds
from image_kit.containment.decoders import Decoders, open_decoders
from image_kit.containment.pool import ProcessPool
from image_kit.containment.process import TaskError
from image_kit.decoding import ImageError, ImageLimits
from service_kit.server import StartError
from tests.helpers import eventually
from tests.services import contained_tasks as tasks

LIMITS = ImageLimits(max_bytes=1_000_000)
MIB = 1024 * 1024
TASKS = [
    *(tasks.look, tasks.echo, tasks.crash, tasks.crash_once, tasks.hang, tasks.spin),
    *(tasks.hoard, tasks.fail, tasks.try_all),
]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="decodes in threads")


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


def opened(
    processes: int, seconds: float = 20.0, registry: CollectorRegistry | None = None
) -> AbstractAsyncContextManager[Decoders]:
    bounds = Bounds(seconds, memory_bytes=300 * MIB, answer_bytes=4 * MIB)
    return open_decoders(processes, TASKS, LIMITS, bounds, registry)


@pytest.fixture(scope="module")
async def decoders() -> AsyncIterator[Decoders]:
    async with opened(2) as made:
        yield made


@pytest.fixture(scope="module")
async def impatient() -> AsyncIterator[Decoders]:
    async with opened(1, seconds=1.0) as made:
        yield made


async def run(decoders: Decoders, *args: Any, **options: Any) -> Any:
    return await asyncio.to_thread(decoders.run, *args, **options)


async def refusal(decoders: Decoders, task: Any, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        await run(decoders, task, b"a", LIMITS, **options)
    return caught.value


async def assert_decodes(decoders: Decoders) -> None:
    answer = await run(decoders, tasks.look, png("blue"), LIMITS)

    assert answer.facts["size"] == [40, 30]
    assert bytes(answer.parts[0]) == b"\0\0\xff" * 1200


async def test_pixels_come_from_another_process(decoders: Decoders) -> None:
    answer = await run(decoders, tasks.look, png(), LIMITS)

    assert answer.facts["pid"] != os.getpid()
    assert bytes(answer.parts[0]) == b"\xff\0\0" * 1200


@pytest.mark.parametrize("processes", [0, 1])
async def test_the_same_is_refused_in_threads_and_in_processes(processes: int) -> None:
    async with opened(processes) as decoders:
        for data, reason in [
            (b"no image", "IMAGE_FORMAT_UNKNOWN"),
            (b"", "IMAGE_EMPTY"),
            (bytes(LIMITS.max_bytes + 1), "IMAGE_TOO_LARGE"),
            (png()[:60], "IMAGE_UNDECODABLE"),
        ]:
            with pytest.raises(ImageError) as caught:
                await run(decoders, tasks.look, data, LIMITS)
            assert caught.value.reason == reason


async def test_the_largest_file_and_answer_pass(decoders: Decoders) -> None:
    data = os.urandom(LIMITS.max_bytes)

    answer = await run(decoders, tasks.echo, data, LIMITS, said=["ä", 1])

    assert answer.facts == {"said": ["ä", 1]}
    assert bytes(answer.parts[0]) == data


async def test_a_crash_is_refused_and_the_process_replaced(decoders: Decoders) -> None:
    error = await refusal(decoders, tasks.crash)

    assert error.reason == "IMAGE_UNDECODABLE"
    assert "SIGABRT" in error.what
    await assert_decodes(decoders)


async def test_what_died_by_chance_is_decoded_by_another_process() -> None:
    async with opened(1) as decoders:
        pid = (await run(decoders, tasks.look, png(), LIMITS)).facts["pid"]

        answer = await run(decoders, tasks.crash_once, b"a", LIMITS, pid=pid)

        assert answer.facts["pid"] != pid


async def test_a_process_that_was_killed_while_idle_is_replaced_unnoticed() -> None:
    async with opened(1) as decoders:
        pid = (await run(decoders, tasks.look, png(), LIMITS)).facts["pid"]
        psutil.Process(pid).kill()

        await assert_decodes(decoders)


async def test_neighbors_of_crashes_come_to_no_harm(decoders: Decoders) -> None:
    def one(number: int) -> object:
        if number % 10 == 5:
            with pytest.raises(ImageError):
                decoders.run(tasks.crash, b"a", LIMITS)
            return None
        return bytes(decoders.run(tasks.look, png(), LIMITS).parts[0])

    def all_of_them() -> list[object]:
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(one, range(110)))

    found = await asyncio.to_thread(all_of_them)

    assert [each for each in found if each is not None] == [b"\xff\0\0" * 1200] * 99


@pytest.mark.parametrize("task", [tasks.hang, tasks.spin])
async def test_what_takes_too_long_is_ended(impatient: Decoders, task: Any) -> None:
    began = time.monotonic()
    error = await refusal(impatient, task)

    assert error.reason == "IMAGE_TOO_COSTLY"
    assert time.monotonic() - began < 30
    await assert_decodes(impatient)


async def test_what_takes_too_much_memory_is_refused(decoders: Decoders) -> None:
    assert (await run(decoders, tasks.hoard, b"a", LIMITS, bytes=20 * MIB)).facts["bytes"]

    error = await refusal(decoders, tasks.hoard, bytes=800 * MIB)

    assert error.reason == "IMAGE_TOO_COSTLY"
    await assert_decodes(decoders)


async def test_an_answer_that_is_too_large_is_refused() -> None:
    bounds = Bounds(20.0, memory_bytes=300 * MIB, answer_bytes=1000)
    async with open_decoders(1, TASKS, ImageLimits(max_bytes=1000), bounds) as decoders:
        with pytest.raises(ImageError) as caught:
            await run(decoders, tasks.look, png(), ImageLimits(max_bytes=1000))

    assert caught.value.reason == "IMAGE_TOO_COSTLY"


async def test_a_fault_of_ours_is_no_fault_of_the_image(decoders: Decoders) -> None:
    with pytest.raises(TaskError, match="a fault of ours"):
        await run(decoders, tasks.fail, b"a", LIMITS)

    await assert_decodes(decoders)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can")
async def test_a_decoder_can_do_nothing_but_decode(
    decoders: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a")
    kept_within = _kept_within(decoders)

    facts = (
        await run(decoders, tasks.try_all, b"a", LIMITS, file=str(secret), folder=str(tmp_path))
    ).facts

    outcomes = facts["outcomes"]
    assert facts["open"] <= 64
    assert not {name for name in facts["environment"] if "KEY" in name or name == "PATH"}
    assert not (tmp_path / "made").exists() or not (tmp_path / "made").read_bytes()
    if "network" in kept_within:
        for name in ("connect", "pair", "run", "fork", "signal"):
            assert outcomes[name] == "PermissionError", name
    if "files" in kept_within:
        assert outcomes["read"] == "PermissionError"
        assert outcomes["write"] == "PermissionError"


def _kept_within(decoders: Decoders) -> list[str]:
    pool: ProcessPool = decoders._pool  # type: ignore[attr-defined]
    process = pool._slots[0].process
    assert process is not None
    process.wait_until_ready()
    return process.confinement or []


async def test_what_runs_and_what_has_ended_is_told() -> None:
    registry = CollectorRegistry()

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"imagesearch_decoders_{name}")

    def told() -> tuple[float | None, float | None]:
        return value("running"), value("ended_total")

    async def one_is_gone() -> None:
        assert told() == (1, 2)

    async with opened(2, registry=registry) as decoders:
        assert told() == (2, 0)
        if sys.platform.startswith("linux"):
            assert 20 * MIB < (value("resident_memory_bytes") or 0) < 400 * MIB

        await refusal(decoders, tasks.crash)  # it is tried twice
        pid = (await run(decoders, tasks.look, png(), LIMITS)).facts["pid"]
        assert told() == (2, 2)

        psutil.Process(pid).kill()
        await eventually(one_is_gone)
        await assert_decodes(decoders)
        assert told() == (2, 3)


async def test_processes_end_with_the_block() -> None:
    async with opened(2) as decoders:
        pid = (await run(decoders, tasks.look, png(), LIMITS)).facts["pid"]
        assert psutil.pid_exists(pid)

    assert not psutil.pid_exists(pid)


_PARENT = """
import asyncio, sys, threading
from image_kit.containment.bounds import Bounds
from image_kit.containment.decoders import open_decoders
from image_kit.decoding import ImageLimits
from tests.services import contained_tasks as tasks

async def main():
    limits, bounds = ImageLimits(), Bounds(600.0, 300 << 20, 1 << 20)
    async with open_decoders(2, [tasks.hang], limits, bounds) as decoders:
        threading.Thread(target=decoders.run, args=(tasks.hang, b"a", limits)).start()
        print(*decoders._pool.pids(), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_processes_end_when_their_service_is_killed_also_in_the_midst_of_work() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as parent:
        assert parent.stdout is not None
        try:
            line = b""
            while b"decoders_started" in (line := parent.stdout.readline()):
                pass
            children = [psutil.Process(int(pid)) for pid in line.split()]
            assert len(children) == 2
        finally:
            parent.kill()

    _, there = psutil.wait_procs(children, timeout=20)
    assert not any(map(_runs, there))


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def test_a_task_that_cannot_be_loaded_refuses_the_start() -> None:
    pool = ProcessPool(1, ["no_such_module:task"], Bounds(5.0, 300 * MIB, 1000), 1000)
    try:
        with pytest.raises(StartError, match="no_such_module"):
            pool.start()
    finally:
        pool.close()
