"""Secrets may be in files that the environment names."""

from pathlib import Path

import pytest

import gateway.settings
import imagesearch_web.settings
from service_kit.settings import read


def test_a_secret_is_read_from_the_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("secret\n")
    monkeypatch.setenv("GATEWAY_BACKEND_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("WEB_API_KEY_FILE", str(tmp_path / "key"))

    for secret in (
        gateway.settings.Settings().backend_api_key,
        imagesearch_web.settings.Settings().api_key,
    ):
        assert secret is not None
        assert secret.get_secret_value() == "secret"


def test_the_environment_itself_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("file")
    monkeypatch.setenv("WEB_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("WEB_API_KEY", "environment")

    secret = imagesearch_web.settings.Settings().api_key

    assert secret is not None
    assert secret.get_secret_value() == "environment"


def test_a_file_that_is_not_there_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEB_API_KEY_FILE", "/nowhere/key")
    monkeypatch.setattr("sys.argv", ["imagesearch_web"])

    with pytest.raises(SystemExit) as ended:
        read(imagesearch_web.settings.Settings)

    assert ended.value.code == 2
    assert "WEB_API_KEY_FILE: /nowhere/key cannot be read" in capsys.readouterr().err
