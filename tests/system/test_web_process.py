"""The page's server as an operator starts it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagesearch_dev.processes import Process

COMMAND = (sys.executable, "-m", "imagesearch_web")


@pytest.fixture
def server(tmp_path: Path, free_port: int) -> Iterator[tuple[Process, str]]:
    """A server whose gateway is away; its address too."""
    env = {
        "WEB_LISTEN": f"127.0.0.1:{free_port}",
        "WEB_GATEWAY": "127.0.0.1:1",
        "WEB_QUERY_FOLDER": str(tmp_path / "query-images"),
        "WEB_METRICS_LISTEN": "127.0.0.1:0",
    }
    process = Process("web", COMMAND, log=tmp_path / "log", env=env)
    process.start()
    address = f"http://127.0.0.1:{free_port}"
    end = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=5).close()
            break
        except OSError:
            assert process.exit_status() is None, process.last_lines()
            assert time.monotonic() < end, process.last_lines()
            time.sleep(0.1)
    yield process, address
    process.stop()


def test_it_runs_without_a_gateway_and_ends_when_it_is_told(
    server: tuple[Process, str],
) -> None:
    process, address = server
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{address}/readyz", timeout=10)
    problem = json.load(refused.value)
    refused.value.close()
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    [metrics] = [line["port"] for line in lines if line["event"] == "serving_metrics"]
    counted = 'imagesearch_web_request_seconds_count{method="GET",path="/readyz",status="503"}'
    measured, end = "", time.monotonic() + 10
    while counted not in measured and time.monotonic() < end:  # written once the answer is sent
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as answer:
            measured = answer.read().decode()
    began = time.monotonic()
    process.stop()

    assert problem["status"] == 503
    assert counted in measured
    assert process.exit_status() == 0
    assert time.monotonic() - began < 10
    assert json.loads(process.last_lines(1))["event"] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--help",), 0, "--allowed-hosts"),
        (("--max-upload-bytes", "none"), 2, "WEB_MAX_UPLOAD_BYTES"),
        (("--listen", "127.0.0.1:99999"), 1, "cannot listen"),
        (("--listen", "TAKEN"), 1, "cannot listen"),
        (("--query-folder", "/dev/null/x"), 1, "query images cannot be kept"),
        (("--gateway-tls", "true", "--gateway-tls-ca-file", "/nowhere"), 1, "cannot be read"),
    ],
)
def test_it_says_why_it_does_not_start(
    tmp_path: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = subprocess.run(
            (*COMMAND, *(address if word == "TAKEN" else word for word in arguments)),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            check=False,
        )

    assert ended.returncode == status, ended.stderr
    assert says in ended.stdout + ended.stderr
