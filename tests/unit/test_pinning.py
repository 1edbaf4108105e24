"""Only the weights that the operator named are loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from embedder_service import pinning
from embedder_service.model_files import ModelFiles
from embedder_service.settings import Settings
from service_kit.server import StartError

DIGEST = hashlib.sha256(b"onetwo").hexdigest()


@pytest.fixture
def model(tmp_path: Path) -> ModelFiles:
    """A model with two weight files."""
    files = []
    for name, content in (("1.safetensors", b"one"), ("2.safetensors", b"two")):
        (tmp_path / name).write_bytes(content)
        files.append(tmp_path / name)
    return ModelFiles("clip", tmp_path, tuple(files))


def test_the_weights_that_are_named_are_let_through(model: ModelFiles) -> None:
    settings = Settings(model_sha256=f"other={'0' * 64}, clip=sha256:{DIGEST.upper()}")

    pinning.check([model], settings.digests())


def test_without_digests_any_weights_are_let_through(model: ModelFiles) -> None:
    pinning.check([model], Settings().digests())


def test_other_weights_are_refused_and_their_digest_told(model: ModelFiles) -> None:
    model.weights[1].write_bytes(b"tampered")

    with pytest.raises(StartError, match="are not those that EMBEDDER_MODEL_SHA256 names"):
        pinning.check([model], {"clip": DIGEST})


def test_a_model_that_is_not_named_while_others_are_is_refused(model: ModelFiles) -> None:
    with pytest.raises(StartError, match=f"add clip={DIGEST}"):
        pinning.check([model], {"other": DIGEST})


@pytest.mark.parametrize("wrong", ["clip", f"={DIGEST}", "clip=1234", f"clip={'g' * 64}"])
def test_a_setting_that_is_no_digest_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="64 hex digits"):
        Settings(model_sha256=wrong)
