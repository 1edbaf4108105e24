"""`python -m embedder_service.download`."""

import json
import os
import subprocess
import sys

from tests.deployed import ROOT

TINY = str(ROOT / "models" / "tiny-clip")


def download(text_model: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "embedder_service.download"],
        env={**os.environ, "EMBEDDER_IMAGE_MODEL": TINY, "EMBEDDER_TEXT_MODEL": text_model},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_ends_well_when_all_models_are_there() -> None:
    done = download(f"{TINY}-multilingual")

    assert done.returncode == 0, done.stderr
    names = [json.loads(line)["name"] for line in done.stderr.splitlines()]
    assert names == ["tiny-clip", "tiny-clip-multilingual"]


def test_it_fails_with_the_reason_when_one_is_not() -> None:
    done = download("./no-such-folder")

    assert done.returncode == 1
    assert "no-such-folder" in done.stderr
