"""`python -m embedder_service.download`."""

import json
import os
import subprocess
import sys

from tests.deployed import ROOT

IMAGES = str(ROOT / "models" / "tiny-clip")
TEXTS = str(ROOT / "models" / "tiny-clip-multilingual")


def download(image_model: str, text_model: str) -> subprocess.CompletedProcess[str]:
    models = {"EMBEDDER_IMAGE_MODEL": image_model, "EMBEDDER_TEXT_MODEL": text_model}
    return subprocess.run(
        [sys.executable, "-m", "embedder_service.download"],
        env={**os.environ, **models},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_ends_well_when_all_models_are_there() -> None:
    done = download(IMAGES, TEXTS)

    assert done.returncode == 0
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert [line["name"] for line in lines] == ["tiny-clip", "tiny-clip-multilingual"]


def test_it_fails_with_the_reason_when_one_is_not() -> None:
    done = download(IMAGES, "./no-such-folder")

    assert done.returncode == 1
    assert "no-such-folder" in done.stderr
