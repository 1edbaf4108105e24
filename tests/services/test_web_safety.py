"""What the page's server does with other sites, strange names, large bodies, and failures."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import imagesearch_web.server
from imagesearch_web.settings import Settings
from service_kit.server import StartError
from tests.helpers import a_picture, image_id
from tests.services.faulty_gateway import SECRET, FaultyGateway, serving

API = "/api/v1"
OURS = {"x-requested-with": "imagesearch"}


@asynccontextmanager
async def running(folder: Path, gateway: str, **changed: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A server of its own, and a client."""
    settings = Settings(
        listen="127.0.0.1:0", gateway=gateway, query_folder=folder, grace_s=1, **changed
    )
    async with imagesearch_web.server.running(settings) as port:
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, headers=OURS, timeout=20) as client:
            yield client


@pytest.fixture
async def faulty() -> AsyncIterator[tuple[FaultyGateway, str]]:
    gateway = FaultyGateway()
    async with serving(gateway) as address:
        yield gateway, address


class TestHeaders:
    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/docs/",
            "/docs/docs.js",
            "/nothing",
            f"{API}/status",
            f"{API}/nothing",
            f"{API}/openapi.json",
            f"{API}/images/{image_id(1)}/thumbnail",
            "/healthz",
        ],
    )
    async def test_every_answer_is_safe(self, web: httpx.AsyncClient, path: str) -> None:
        for headers in ({}, {"host": "evil.example"}, {"sec-fetch-site": "cross-site"}):
            answer = await web.get(path, headers=headers)

            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert "camera=(self)" in answer.headers["permissions-policy"]
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert "server" not in answer.headers
            assert "access-control-allow-origin" not in answer.headers

    async def test_pages_may_run_what_is_here_and_nothing_inline(
        self, web: httpx.AsyncClient
    ) -> None:
        for path in ("/", "/docs/"):
            answer = await web.get(path)

            assert "script-src 'self'" in answer.headers["content-security-policy"]
            assert "sandbox" not in answer.headers["content-security-policy"]
            assert "<script>" not in answer.text
            assert " style=" not in answer.text
            assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", answer.text)


class TestOrigins:
    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            ({}, "CLIENT_HEADER_MISSING"),
            ({"x-requested-with": "XMLHttpRequest"}, "CLIENT_HEADER_MISSING"),
            ({"authorization": "Basic dTpw"}, "CLIENT_HEADER_MISSING"),
            ({"sec-fetch-site": "same-origin"}, "CLIENT_HEADER_MISSING"),
            ({**OURS, "sec-fetch-site": "cross-site"}, "CROSS_SITE_REQUEST"),
            ({**OURS, "sec-fetch-site": "same-site"}, "CROSS_SITE_REQUEST"),
            (
                {**OURS, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
                "CROSS_SITE_REQUEST",
            ),
            ({**OURS, "origin": "https://evil.example"}, "CROSS_SITE_REQUEST"),
            ({**OURS, "origin": "null"}, "CROSS_SITE_REQUEST"),
            ({"authorization": "Bearer k", "origin": "http://[::1"}, "CROSS_SITE_REQUEST"),
            ({"authorization": "Bearer k", "origin": "https://evil.example"}, "CROSS_SITE_REQUEST"),
        ],
    )
    async def test_other_sites_can_change_nothing(
        self, web_address: str, headers: dict[str, str], reason: str
    ) -> None:
        async with httpx.AsyncClient(base_url=web_address) as client:
            for method, path in (("POST", "images"), ("DELETE", "images"), ("POST", "search")):
                answer = await client.request(
                    method, f"{API}/{path}", headers=headers, content=a_picture(1)
                )

                assert (answer.status_code, answer.json()["reason"]) == (403, reason)

    @pytest.mark.parametrize(
        "headers",
        [
            OURS,
            {**OURS, "sec-fetch-site": "same-origin"},
            {**OURS, "sec-fetch-site": "none"},
            {**OURS, "origin": "OWN"},
            {"authorization": "Bearer key"},
        ],
    )
    async def test_the_page_and_programs_can(
        self, web_address: str, headers: dict[str, str]
    ) -> None:
        sent = {name: web_address if v == "OWN" else v for name, v in headers.items()}
        async with httpx.AsyncClient(base_url=web_address) as client:
            answer = await client.post(f"{API}/search", headers=sent, json={"terms": 1})

        assert answer.status_code == 400

    async def test_other_sites_can_read_nothing_either_but_be_followed_from(
        self, web: httpx.AsyncClient
    ) -> None:
        embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
        followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}

        assert (await web.get(f"{API}/label-sets", headers=embedded)).status_code == 403
        assert (await web.get(f"{API}/label-sets", headers=followed)).status_code == 200
        assert (await web.get("/", headers=followed)).status_code == 200

    async def test_origins_that_are_named_may_use_the_api(
        self, tmp_path: Path, gateway_address: str
    ) -> None:
        friend = "https://photos.example.org"
        async with running(tmp_path, gateway_address, cors_origins=f"{friend}, http://b") as web:
            asked = {
                "origin": friend,
                "access-control-request-method": "POST",
                "access-control-request-headers": "x-requested-with,content-type",
            }
            allowed = await web.options(f"{API}/search", headers=asked)
            headers = {"origin": friend, "sec-fetch-site": "cross-site"}
            used = await web.post(f"{API}/search", headers=headers, json={"terms": 1})
            stranger = await web.options(
                f"{API}/search", headers={**asked, "origin": "https://evil.example"}
            )

        assert allowed.headers["access-control-allow-origin"] == friend
        assert used.status_code == 400
        assert used.headers["access-control-allow-origin"] == friend
        assert "access-control-allow-origin" not in stranger.headers


class TestHosts:
    @pytest.mark.parametrize(
        ("host", "known"),
        [
            ("localhost", True),
            ("LOCALHOST:8080", True),
            ("127.0.0.1:1", True),
            ("[::1]:8080", True),
            ("localhost.:8080", True),
            ("a.b.example.org", True),
            ("evil.example", False),
            ("localhost.evil.example", False),
            ("example.org", False),
            ("127.0.0.1.evil.example", False),
            ("[::2]", False),
            ("", False),
        ],
    )
    async def test_only_its_own_names_are_answered(
        self, tmp_path: Path, free_port: int, host: str, known: bool
    ) -> None:
        names = "localhost,127.0.0.1,[::1],*.example.org"
        async with running(tmp_path, f"127.0.0.1:{free_port}", allowed_hosts=names) as web:
            answer = await web.get("/docs/", headers={"host": host})
            probe = await web.get("/healthz", headers={"host": host})

        assert answer.status_code == (200 if known else 421)
        assert probe.status_code == 200


class TestFiles:
    @pytest.mark.parametrize(
        "path",
        [
            "/../settings.py",
            "/..%2fsettings.py",
            "/%2e%2e/settings.py",
            "/docs/..%2f..%2fserver.py",
            "/docs/%2fetc%2fpasswd.txt",
            "/.hidden.js",
            "/a%00.js",
            "/index",
            "/docs/none.js",
            "/x" * 2000 + ".js",
        ],
    )
    async def test_nothing_but_the_pages_files_is_served(
        self, web: httpx.AsyncClient, path: str
    ) -> None:
        answer = await web.get(path)

        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_files_are_compressed_and_asked_for_again(self, web: httpx.AsyncClient) -> None:
        plain = await web.get("/docs/docs.js", headers={"accept-encoding": "identity"})
        zipped = await web.get("/docs/docs.js", headers={"accept-encoding": "gzip, br"})
        etag = {"accept-encoding": "gzip", "if-none-match": zipped.headers["etag"]}

        assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
        assert (plain.headers["cache-control"], plain.headers["vary"]) == (
            "no-cache",
            "accept-encoding",
        )
        assert zipped.headers["content-encoding"] == "gzip"
        assert int(zipped.headers["content-length"]) < len(plain.content) / 2
        assert zipped.content == plain.content
        assert (await web.get("/docs/docs.js", headers=etag)).status_code == 304


class TestBodies:
    async def test_a_large_body_is_refused_before_it_is_sent(self, web: httpx.AsyncClient) -> None:
        assert web.base_url.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", web.base_url.port)
        writer.write(
            b"POST /api/v1/query-images HTTP/1.1\r\nHost: localhost\r\n"
            b"X-Requested-With: imagesearch\r\nContent-Length: 2000000\r\n\r\n" + bytes(1000)
        )
        async with asyncio.timeout(2):
            head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert head.startswith(b"HTTP/1.1 413")

    async def test_a_large_body_without_a_length_is_read_no_further_than_the_bound(
        self, web: httpx.AsyncClient
    ) -> None:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield bytes(100_000)

        answer = await web.post(f"{API}/query-images", content=parts())

        assert (answer.status_code, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")

    async def test_a_client_that_sends_all_of_it_first_sees_the_refusal(
        self, web: httpx.AsyncClient
    ) -> None:
        answer = await web.post(f"{API}/images", content=bytes(20_000_000))

        assert (answer.status_code, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")

    async def test_a_body_that_does_not_come_is_not_waited_for(
        self, tmp_path: Path, free_port: int
    ) -> None:
        async def slow() -> AsyncIterator[bytes]:
            yield b"x"
            await asyncio.sleep(1)
            yield b"y"

        away = f"127.0.0.1:{free_port}"
        async with running(tmp_path, away, upload_timeout_s=0.2) as web:
            answer = await web.post(f"{API}/query-images", content=slow())

        assert (answer.status_code, answer.json()["reason"]) == (408, "REQUEST_TOO_SLOW")


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("CANCELLED", 499),
            ("UNKNOWN", 500),
            ("INVALID_ARGUMENT", 400),
            ("DEADLINE_EXCEEDED", 504),
            ("NOT_FOUND", 404),
            ("ALREADY_EXISTS", 409),
            ("PERMISSION_DENIED", 403),
            ("RESOURCE_EXHAUSTED", 429),
            ("FAILED_PRECONDITION", 400),
            ("ABORTED", 409),
            ("OUT_OF_RANGE", 400),
            ("UNIMPLEMENTED", 501),
            ("INTERNAL", 500),
            ("UNAVAILABLE", 503),
            ("DATA_LOSS", 500),
            ("UNAUTHENTICATED", 401),
        ],
    )
    async def test_statuses_are_those_of_http_and_tell_nothing_of_what_is_inside(
        self, tmp_path: Path, faulty: tuple[FaultyGateway, str], code: str, status: int
    ) -> None:
        async with running(tmp_path, faulty[1]) as web:
            answer = await web.get(f"{API}/status", params={"index": code})

        assert (answer.status_code, answer.json()["reason"]) == (status, code)
        assert SECRET not in answer.text

    async def test_a_gateway_that_is_away_is_told_as_such(
        self, tmp_path: Path, free_port: int
    ) -> None:
        async with running(tmp_path, f"127.0.0.1:{free_port}") as web:
            answer = await web.get(f"{API}/status")
            ready = await web.get("/readyz")
            alive = await web.get("/healthz")

        assert (answer.status_code, answer.json()["reason"]) == (503, "UNAVAILABLE")
        assert answer.json()["detail"] == "the gateway does not answer"
        assert (answer.headers["retry-after"], answer.json()["retry_after_s"]) == ("1", 1.0)
        assert str(free_port) not in answer.text + ready.text
        assert (ready.status_code, alive.status_code) == (503, 200)

    async def test_a_gateway_that_is_slow_is_not_waited_for(
        self, tmp_path: Path, faulty: tuple[FaultyGateway, str]
    ) -> None:
        async with running(tmp_path, faulty[1], call_timeout_s=0.2) as web:
            answer = await web.post(f"{API}/search", json={"terms": [{"text": "a"}]})

        assert (answer.status_code, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
        await asyncio.wait_for(faulty[0].cancelled.wait(), 5)

    async def test_more_requests_than_it_can_take_are_refused(
        self, tmp_path: Path, faulty: tuple[FaultyGateway, str]
    ) -> None:
        async with running(tmp_path, faulty[1], max_requests=1) as web:
            first = asyncio.create_task(web.post(f"{API}/search", json={"terms": [{"text": "a"}]}))
            await asyncio.wait_for(faulty[0].begun.wait(), 5)
            second = await web.get(f"{API}/status")
            page = await web.get("/docs/")
            first.cancel()

            assert (second.status_code, second.json()["reason"]) == (503, "OVERLOADED")
            assert page.status_code == 200

    async def test_the_callers_key_goes_before_our_own(
        self, tmp_path: Path, faulty: tuple[FaultyGateway, str]
    ) -> None:
        async with running(tmp_path, faulty[1], api_key="ours") as web:
            await web.get(f"{API}/status")
            await web.get(f"{API}/status", headers={"authorization": "Bearer theirs"})
            await web.get(f"{API}/status", headers={"authorization": "Basic dTpw"})
            strange = await web.get(f"{API}/status", headers={"authorization": b"Bearer \xff"})

        assert faulty[0].authorizations == ["Bearer ours", "Bearer theirs", "Bearer ours"]
        assert strange.status_code == 401

    async def test_a_taken_port_is_said(self, tmp_path: Path, gateway_address: str) -> None:
        with pytest.raises(StartError, match="cannot listen"):
            async with imagesearch_web.server.running(
                Settings(listen=gateway_address, query_folder=tmp_path)
            ):
                pass


class TestLeaving:
    async def test_who_leaves_a_search_ends_it(
        self, tmp_path: Path, faulty: tuple[FaultyGateway, str]
    ) -> None:
        async with running(tmp_path, faulty[1]) as web:
            search = asyncio.create_task(web.post(f"{API}/search", json={"terms": [{"text": "a"}]}))
            await asyncio.wait_for(faulty[0].begun.wait(), 5)
            search.cancel()

            await asyncio.wait_for(faulty[0].cancelled.wait(), 5)

    async def test_who_leaves_a_scan_ends_it_and_hears_of_it_while_it_is_silent(
        self, tmp_path: Path, faulty: tuple[FaultyGateway, str]
    ) -> None:
        async with running(tmp_path, faulty[1], heartbeat_s=0.1) as web:
            headers = {"last-event-id": "scan-0"}
            async with web.stream("GET", f"{API}/duplicates", headers=headers) as answer:
                lines = answer.aiter_lines()
                first = [await anext(lines) for _ in range(4)]
                beats = [await anext(lines) for _ in range(4)]
                assert not faulty[0].cancelled.is_set()

            await asyncio.wait_for(faulty[0].cancelled.wait(), 5)

        assert first == [
            "event: progress",
            "id: scan-1",
            'data: {"scan_id": "scan-1", "total_count": "5"}',
            "",
        ]
        assert beats == [": still there", ""] * 2
        assert faulty[0].scan_ids == ["scan-0"]

    async def test_a_server_that_stops_ends_its_streams(
        self, tmp_path: Path, faulty: tuple[FaultyGateway, str]
    ) -> None:
        settings = Settings(
            listen="127.0.0.1:0", gateway=faulty[1], query_folder=tmp_path, grace_s=10
        )
        async with httpx.AsyncClient(timeout=20) as client:
            async with imagesearch_web.server.running(settings) as port:
                request = client.build_request("GET", f"http://127.0.0.1:{port}{API}/duplicates")
                answer = await client.send(request, stream=True)
                lines = answer.aiter_lines()
                assert await anext(lines) == "event: progress"
                began = time.monotonic()
            took = time.monotonic() - began
            await answer.aclose()

        assert took < 5
        assert faulty[0].cancelled.is_set()
