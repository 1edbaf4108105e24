"""`python -m embedder_service.download`."""

import json

import pytest

from embedder_service import download
from tests.deployed import ROOT


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["download"])


def test_it_ends_well_when_all_models_are_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, name in (("IMAGE", "tiny-clip"), ("TEXT", "tiny-clip-multilingual")):
        monkeypatch.setenv(f"EMBEDDER_{kind}_MODEL", str(ROOT / "models" / name))

    download.main()

    said = capsys.readouterr()
    lines = [json.loads(line) for line in (said.out + said.err).splitlines()]
    assert [line["name"] for line in lines] == ["tiny-clip", "tiny-clip-multilingual"]


def test_it_fails_with_the_reason_when_one_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMBEDDER_IMAGE_MODEL", str(ROOT / "models" / "tiny-clip"))
    monkeypatch.setenv("EMBEDDER_TEXT_MODEL", "./no-such-folder")

    with pytest.raises(SystemExit) as ended:
        download.main()

    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "no-such-folder" in said.out + said.err
