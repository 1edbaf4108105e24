"""The Ray job: the same shards give the same index as `imagesearch index` does; done is done.

Only where Ray is installed: pip install '.[jobs]'.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagesearch.search.v1 import search_service_pb2 as search_pb
from imagesearch.search.v1 import search_service_pb2_grpc as search_grpc

from imagesearch_dev import models
from tests.helpers import a_picture
from tests.system.conftest import System

pytest.importorskip("ray")

pytestmark = pytest.mark.timeout(240)

SHARDS, EACH = 2, 5


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """Webdataset shards, with one member that is no image."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(SHARDS):
        with tarfile.open(folder / f"s-{shard:03d}.tar", "w") as tar:
            for number in range(shard * EACH, (shard + 1) * EACH):
                add(tar, f"{number:04d}.jpg", a_picture(number, fmt="JPEG", quality=90))
                said = {"caption": f"number {number}", "tags": ["drawn"]}
                add(tar, f"{number:04d}.json", json.dumps(said).encode())
            add(tar, f"bad{shard}.jpg", b"\xff\xd8\xff no picture")
    return f"{folder}/s-{{000..{SHARDS - 1:03d}}}.tar"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def job(shards: str, checkpoints: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(
        *("jobs.embed_shards", shards, "--checkpoints", str(checkpoints)),
        *("--image-model", models.TINY.image, "--text-model", models.TINY.text),
        *arguments,
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",
    )


def documents(system: System, index: str) -> dict[str, Any]:
    request = search_pb.ListDocumentsRequest(index=index, include_vectors=True, page_size=1_000)
    with grpc.insecure_channel(system.services["search_service"].address) as channel:
        found = search_grpc.SearchServiceStub(channel).ListDocuments(request, timeout=30).documents
    for each in found:
        each.document.ClearField("indexed_at")
        for source in each.document.sources:
            source.ClearField("first_seen_at")
            source.ClearField("last_seen_at")
    return {each.document.image_id: each for each in found}


def test_a_job_gives_the_same_index_as_the_command_line(
    system: System, shards: str, new_index: str, tmp_path: Path
) -> None:
    """Straight to search_service, and through parquet files that are imported."""
    search = system.services["search_service"].address
    plain, straight, later = (f"{new_index}-{name}" for name in ("plain", "straight", "later"))
    journal = str(tmp_path / "journal.sqlite")
    env = {
        "IMAGESEARCH_GATEWAY": system.gateway,
        "IMAGESEARCH_SEARCH": search,
        "IMAGESEARCH_JOURNAL": journal,
    }
    by_hand = run("imagesearch_cli", "index", shards, "--index", plain, **env)
    assert by_hand.returncode == 1, by_hand.stdout + by_hand.stderr  # two are refused

    to_search = ("--search", search, "--index", straight)
    first = job(shards, tmp_path / "done", *to_search)
    again = job(shards, tmp_path / "done", *to_search)
    out = tmp_path / "parquet"
    table = job(shards, tmp_path / "done", "--output", str(out), "--index", later)
    imported = run("imagesearch_cli", "import", str(out), **env)

    assert "10 images stored, 2 refused, 0 shards damaged" in first.stdout, first
    assert "2 of 2 shards are done already" in again.stdout, again
    assert "10 images stored" in table.stdout, table
    assert imported.returncode == 0, imported.stderr
    expected = documents(system, plain)
    assert len(expected) == SHARDS * EACH
    for index in (straight, later):
        found = documents(system, index)
        assert found.keys() == expected.keys()
        for image_id, each in found.items():
            assert each.document == expected[image_id].document
            assert each.vector.space == expected[image_id].vector.space
            values = pytest.approx(expected[image_id].vector.values, abs=1e-3)
            assert each.vector.values == values
