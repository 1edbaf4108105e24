"""`imagesearch index` killed at random and run again: the right documents, hardly anything twice.

SOAK=1 does it with 20,000 images.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from imagesearch.embedder.v1 import embedder_service_pb2 as embedder_pb
from imagesearch.embedder.v1 import embedder_service_pb2_grpc as embedder_grpc
from imagesearch.search.v1 import search_service_pb2 as search_pb
from imagesearch.search.v1 import search_service_pb2_grpc as search_grpc

from tests.helpers import a_picture
from tests.system.conftest import System

SOAK = bool(os.environ.get("SOAK"))
COUNT = 20_000 if SOAK else 600
KILLS = 5
IN_FLIGHT = 64
"""Of one stream: sent, and not in the journal."""

pytestmark = pytest.mark.timeout(3_600 if SOAK else 120)


def start(system: System, folder: Path, index: str, journal: Path) -> subprocess.Popen[str]:
    command = ("index", str(folder), "--index", index, "--streams", "1", "--json")
    return subprocess.Popen(
        [sys.executable, "-m", "imagesearch_cli", *command, "--journal", str(journal)],
        env={**os.environ, "IMAGESEARCH_GATEWAY": system.gateway},
        stdout=subprocess.PIPE,
        text=True,
    )


def acknowledged(journal: Path) -> int:
    """Images that the journal says are stored."""
    if not journal.exists():
        return 0
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=10)
    try:
        (count,) = db.execute("SELECT count(*) FROM entries WHERE image IS NOT NULL").fetchone()
    except sqlite3.OperationalError:  # it is just being made
        return 0
    finally:
        db.close()
    return int(count)


def asked(system: System) -> int:
    """Images that the embedder was asked for since it started."""
    with grpc.insecure_channel(system.services["embedder_service"].address) as channel:
        stub = embedder_grpc.EmbedderServiceStub(channel)
        models = stub.GetStatistics(embedder_pb.GetStatisticsRequest(), timeout=10).models
    image = [each for each in models if each.modality == embedder_pb.MODALITY_IMAGE]
    return sum(each.computed + each.cached + each.cancelled for each in image)


def ids(system: System, index: str) -> set[str]:
    found: set[str] = set()
    with grpc.insecure_channel(system.services["search_service"].address) as channel:
        stub = search_grpc.SearchServiceStub(channel)
        token = "first"
        while token:
            page_token = "" if token == "first" else token
            request = search_pb.ListDocumentsRequest(
                index=index, page_size=1_000, page_token=page_token, fields=["image_name"]
            )
            page = stub.ListDocuments(request, timeout=30)
            found |= {each.document.image_id for each in page.documents}
            token = page.next_page_token
    return found


def test_killed_five_times_and_resumed(system: System, new_index: str, tmp_path: Path) -> None:
    """No image is embedded twice beyond those that were in flight at each kill."""
    folder, journal = tmp_path / "in", tmp_path / "state" / "journal.sqlite"
    folder.mkdir()
    expected = set()
    for number in range(COUNT):
        content = a_picture(number, side=32)
        expected.add(hashlib.sha256(content).hexdigest())
        (folder / f"{number:05d}.png").write_bytes(content)
    assert len(expected) > COUNT * 0.9  # some small drawings are alike
    rng, before = random.Random(7), asked(system)
    marks = sorted(rng.randrange(COUNT // 20, COUNT * 8 // 10) for _ in range(KILLS))

    for mark in marks:
        running = start(system, folder, new_index, journal)
        end = time.monotonic() + 60 + COUNT / 20
        while acknowledged(journal) < mark:
            assert running.poll() is None, running.stdout
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.1))
        running.send_signal(signal.SIGKILL)
        running.communicate()
    stored = acknowledged(journal)
    last = start(system, folder, new_index, journal)
    output, _ = last.communicate(timeout=60 + COUNT / 20)

    assert last.returncode == 0, output
    assert stored < COUNT, "the kills came too late to prove anything"
    assert ids(system, new_index) == expected
    assert acknowledged(journal) == COUNT
    assert asked(system) - before <= COUNT + KILLS * IN_FLIGHT


def test_ctrl_c_finishes_what_is_under_way(system: System, new_index: str, tmp_path: Path) -> None:
    """What was sent is waited for and written down; the next run does the rest."""
    folder, journal = tmp_path / "in", tmp_path / "journal.sqlite"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number:05d}.png").write_bytes(a_picture(number, side=64))
    before = asked(system)
    running = start(system, folder, new_index, journal)
    while acknowledged(journal) < 50:
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)

    stored = acknowledged(journal)
    assert running.returncode == 130
    assert 50 <= stored < 400
    assert asked(system) - before == stored
    again = start(system, folder, new_index, journal)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert (acknowledged(journal), asked(system) - before) == (400, 400)
