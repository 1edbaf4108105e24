"""infinity_emb, a server for the same models, in an environment of its own."""

import asyncio
import base64
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from benchmarks.servers import free_port
from imagesearch_dev.processes import Process

_START_S = 180.0
_CALLERS = 64


async def images_per_second(
    venv: Path, image_model: Path, files: Sequence[bytes], seconds: float
) -> float | None:
    """Measures it with 64 callers of one image each; None if it is not there.

    Args:
        venv: The environment.
        image_model: A CLIP model in sentence-transformers' layout.
        files: JPEGs.
        seconds: How long.
    """
    program = venv / "bin" / "infinity_emb"
    if not program.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        model = _as_older_transformers_read_it(image_model, Path(folder) / "clip")
        port = free_port()
        process = Process(
            "infinity",
            [
                str(program),
                "v2",
                "--model-id",
                str(model),
                "--port",
                str(port),
                "--device",
                "cpu",
                "--dtype",
                "float32",
                "--batch-size",
                "32",
                "--no-bettertransformer",
                "--no-model-warmup",
                "--engine",
                "torch",
            ],
            log=Path(folder) / "log",
            env={"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"},
        )
        process.start()
        try:
            return await _measured(f"http://127.0.0.1:{port}", process, model, files, seconds)
        finally:
            process.stop(5)


def _as_older_transformers_read_it(image_model: Path, folder: Path) -> Path:
    shutil.copytree(image_model, folder, ignore=shutil.ignore_patterns("modules.json"))
    recipe = json.loads((image_model / "processor_config.json").read_text())["image_processor"]
    recipe["image_processor_type"] = "CLIPImageProcessor"
    (folder / "preprocessor_config.json").write_text(json.dumps(recipe))
    (folder / "processor_config.json").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


async def _measured(
    url: str, process: Process, model: Path, files: Sequence[bytes], seconds: float
) -> float:
    async with aiohttp.ClientSession() as session:
        await _ready(session, url, process)
        bodies = [
            {
                "model": model.name,
                "modality": "image",
                "input": ["data:image/jpeg;base64," + base64.b64encode(data).decode()],
            }
            for data in files
        ]
        done = 0
        end = float("inf")

        async def caller(number: int) -> None:
            nonlocal done
            while time.perf_counter() < end:
                number += 1
                body = bodies[number % len(bodies)]
                async with session.post(f"{url}/embeddings", json=body) as answer:
                    if answer.status != 200:
                        raise SystemExit(f"infinity_emb: {await answer.text()}")
                    await answer.read()
                done += 1

        end = time.perf_counter() + 2.0
        await asyncio.gather(*map(caller, range(_CALLERS)))
        done = 0
        began = time.perf_counter()
        end = began + 2 * seconds
        await asyncio.gather(*map(caller, range(_CALLERS)))
        return done / (time.perf_counter() - began)


async def _ready(session: aiohttp.ClientSession, url: str, process: Process) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            async with session.get(f"{url}/health") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        if process.exit_status() is not None or time.monotonic() > end:
            raise SystemExit(f"infinity_emb did not start:\n{process.log.read_text()[-3000:]}")
        await asyncio.sleep(0.5)
