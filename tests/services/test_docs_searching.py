"""The Python examples of docs/searching.md, run as they are written."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from pathlib import Path

import pytest
from google.protobuf import json_format
from imagesearch.gateway.v1 import queries_pb2 as pb

from imagesearch_client import AsyncClient, upload
from tests.conftest import INDEX_PREFIX, ROOT
from tests.helpers import a_picture

PAGE = (ROOT / "docs" / "searching.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
async def pictures(gateway_address: str) -> str:
    """An index for them: 40 drawings."""
    index = f"{INDEX_PREFIX}docs"
    async with AsyncClient(gateway_address) as client:
        uploads = [upload(a_picture(n), image_name=f"{n}.png", tags=["mine"]) for n in range(40)]
        outcomes = [each async for each in client.index_images(uploads, index=index)]
    assert all(each.error is None for each in outcomes)
    return index


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_the_examples_run(
    gateway_address: str,
    pictures: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    (tmp_path / "photo.jpg").write_bytes(a_picture(7, fmt="JPEG"))
    monkeypatch.chdir(tmp_path)
    code = EXAMPLES[number].replace("Client()", f'Client("{gateway_address}")')
    printed = io.StringIO()

    def run() -> None:
        exec(compile(code.replace('"pictures"', f'"{pictures}"'), "docs/searching.md", "exec"), {})

    with contextlib.redirect_stdout(printed):
        await asyncio.to_thread(run)

    assert printed.getvalue() or "print(" not in code


def test_the_requests_of_grpcurl_are_requests() -> None:
    bodies = re.findall(r"-d '(.*?)'", PAGE, re.DOTALL)

    assert len(bodies) >= 3
    for body in bodies:
        assert json_format.Parse(body, pb.SearchImagesRequest()).terms


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6
