"""The page's server, as far as it needs no gateway."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from openapi_spec_validator import validate

from imagesearch_web import caching
from imagesearch_web.app import API, make_routes
from imagesearch_web.downloads import content_disposition, file_name
from imagesearch_web.openapi.document import openapi
from imagesearch_web.openapi.operations import OPERATIONS
from imagesearch_web.problems import HTTP_STATUS
from imagesearch_web.query_images import QueryImages
from imagesearch_web.settings import Settings
from service_kit.workers import Workers
from tests.helpers import id_of


@pytest.mark.parametrize(
    ("name", "media_type", "expected"),
    [
        ("cat.jpg", "image/jpeg", "cat.jpg"),
        ("cat.JPEG", "image/jpeg", "cat.JPEG"),
        ("cat.exe", "image/png", "cat.exe.png"),
        ("cat.html", "image/svg+xml", "cat.html.bin"),
        ("a/b\\c.png", "image/png", "c.png"),
        ("../../etc/passwd", "image/png", "passwd.png"),
        ("", "image/png", "otherwise.png"),
        ("...", "image/png", "otherwise.png"),
        ('a"b\r\nSet-Cookie: x.png', "image/png", "a_b__Set-Cookie_ x.png"),
        ("\u202egnp.exe", "image/png", "_gnp.exe.png"),
        ("咪.png", "image/png", "咪.png"),
        ("x" * 500 + ".png", "image/png", "x" * 120 + ".png"),
        ("\ud800.png", "image/png", "_.png"),
    ],
)
def test_names_of_downloads_are_safe(name: str, media_type: str, expected: str) -> None:
    assert file_name(name, media_type, "otherwise") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat 1.png", 'attachment; filename="cat 1.png"'),
        ("ü咪.png", "attachment; filename=\"__.png\"; filename*=UTF-8''%C3%BC%E5%92%AA.png"),
        ("50%.png", "attachment; filename=\"50_.png\"; filename*=UTF-8''50%25.png"),
    ],
)
def test_names_travel_in_ascii(name: str, expected: str) -> None:
    assert content_disposition(name) == expected


@pytest.mark.parametrize(
    ("known", "matches"),
    [
        (None, False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
        ("", False),
    ],
)
def test_etags_are_compared_weakly(known: str | None, matches: bool) -> None:
    assert caching.matches('"a"', known) is matches


def test_every_status_of_grpc_has_one_of_http() -> None:
    assert len(HTTP_STATUS) == 16
    assert all(status >= 400 for status in HTTP_STATUS.values())


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


class TestQueryImages:
    @pytest.fixture
    async def workers(self) -> AsyncIterator[Workers]:
        async with Workers("test", 2) as workers:
            yield workers

    async def test_an_image_is_kept_once_for_its_owner_alone(
        self, tmp_path: Path, workers: Workers
    ) -> None:
        folder = tmp_path / "kept"
        kept = QueryImages(folder, 1000, 60, workers)
        first = await kept.keep(b"one")
        again = await kept.keep(b"one")

        assert first == again == id_of(b"one")
        assert await kept.get(first) == b"one"
        assert await kept.get(id_of(b"two")) is None
        assert names_in(folder) == {first}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / first).stat().st_mode) == 0o600

    async def test_the_least_recently_used_go_when_there_is_no_room(
        self, tmp_path: Path, workers: Workers
    ) -> None:
        kept = QueryImages(tmp_path, 1600, 3600, workers)
        ids = []
        for n in range(10):
            ids.append(await kept.keep(bytes([n]) * 100))
            os.utime(tmp_path / ids[-1], (time.time() - 100 + n,) * 2)
        await kept.get(ids[0])
        ids += [await kept.keep(bytes([n]) * 100) for n in range(10, 20)]

        there = names_in(tmp_path)
        assert len(there) <= 16
        assert ids[0] in there
        assert ids[1] not in there
        assert set(ids[10:]) <= there

    async def test_what_is_old_is_gone_and_what_others_write_is_not(
        self, tmp_path: Path, workers: Workers
    ) -> None:
        kept = QueryImages(tmp_path, 1000, 60, workers)
        old = await kept.keep(b"old")
        os.utime(tmp_path / old, (time.time() - 61,) * 2)
        (tmp_path / ".being-written").write_bytes(b"x")
        (tmp_path / ".left").write_bytes(b"x")
        os.utime(tmp_path / ".left", (time.time() - 700,) * 2)

        assert await kept.get(old) is None

        again = QueryImages(tmp_path, 1000, 60, workers)
        new = await again.keep(b"new")
        assert names_in(tmp_path) == {new, ".being-written"}

    async def test_what_was_too_old_can_be_sent_again(
        self, tmp_path: Path, workers: Workers
    ) -> None:
        kept = QueryImages(tmp_path, 1000, 60, workers)
        image_id = await kept.keep(b"old")
        os.utime(tmp_path / image_id, (time.time() - 61,) * 2)
        await kept.keep(b"old")

        assert await kept.get(image_id) == b"old"


class TestDescription:
    def test_it_is_openapi(self) -> None:
        validate(openapi())

    def test_it_says_all_that_there_is_and_nothing_else(self) -> None:
        parts: Any = _Anything()
        routes = {
            (method.lower(), route.path.removeprefix(API))
            for route in make_routes(parts)
            if route.path.startswith(f"{API}/")
            for method in (route.methods or set()) - {"HEAD"}
        }
        own = {("get", "/openapi.json"), ("get", "/docs")}
        paths = openapi()["paths"]

        assert {(m, path) for path in paths for m in paths[path]} == routes - own

    def test_every_rpc_can_be_had_but_for_those_that_are_told(self) -> None:
        service = pb.DESCRIPTOR.services_by_name["ImageSearchService"]
        rpcs = {method.name for method in service.methods}

        assert rpcs - {operation.rpc for operation in OPERATIONS} == {
            "ClassifyBatch",  # for programs
            "GetDiagnostics",  # for `imagesearch doctor`
            "GetImageContent",  # thumbnail and original
            "IndexImages",  # the page sends images one by one
            "SearchByImage",  # short forms of SearchImages
            "SearchByText",
        }

    def test_every_field_is_described_and_none_is_bytes(self) -> None:
        for name, schema in openapi()["components"]["schemas"].items():
            for field, what in schema.get("properties", {}).items():
                assert what.get("description") or name == "Problem", (name, field)
                assert what.get("format") != "byte"


class _Anything:
    """Stands for any part: routes are listed, nothing is called."""

    def __getattr__(self, name: str) -> _Anything:
        return _Anything()

    def __call__(self) -> None:
        """Is an endpoint."""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("a, b,", ("a", "b")),
        ("*", ("*",)),
        ("", ()),
    ],
)
def test_lists_in_settings_are_words_with_commas(
    monkeypatch: pytest.MonkeyPatch, given: str, read: tuple[str, ...]
) -> None:
    monkeypatch.setenv("WEB_ALLOWED_HOSTS", given)

    assert Settings().allowed_hosts == read
