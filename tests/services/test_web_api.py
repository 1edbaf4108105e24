"""The page's JSON API over HTTP, on the real gateway and all that is behind it."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.helpers import a_picture, encoded, id_of, image_id, the_picture

API = "/api/v1"


async def sent(web: httpx.AsyncClient, data: bytes) -> str:
    """Sends a query image; gives its id."""
    answer = await web.post(f"{API}/query-images", content=data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def found(web: httpx.AsyncClient, index: str, **body: Any) -> dict[str, Any]:
    """What a search answers."""
    answer = await web.post(f"{API}/search", json={"index": index, **body})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def ids(answer: dict[str, Any]) -> list[str]:
    return [result["image"]["image_id"] for result in answer["results"]]


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return image.size


class TestSystem:
    async def test_status_is_the_gateways(self, web: httpx.AsyncClient, shown: str) -> None:
        answer = await web.get(f"{API}/status", params={"index": shown})

        assert answer.status_code == 200
        assert answer.json()["index"]["document_count"] == "12"
        assert all(part["serving"] for part in answer.json()["components"])

    async def test_indexes_are_listed_in_pages(self, web: httpx.AsyncClient, shown: str) -> None:
        names: list[str] = []
        token = ""
        while True:
            asked = {"page_size": "1", "page_token": token}
            answer = (await web.get(f"{API}/indexes", params=asked)).json()
            names += [index["name"] for index in answer["indexes"]]
            if not (token := answer.get("next_page_token", "")):
                break

        assert names == sorted(names)
        assert shown in names
        [it] = [
            i for i in (await web.get(f"{API}/indexes")).json()["indexes"] if i["name"] == shown
        ]
        assert it["document_count"] == "12"
        assert it["health"] in {"green", "yellow"}

    async def test_it_is_alive_and_ready(self, web: httpx.AsyncClient) -> None:
        assert (await web.get("/healthz")).json() == {"status": "alive"}
        assert (await web.get("/readyz")).json() == {"status": "ready"}


class TestQueryImages:
    async def test_a_kept_image_has_an_id_a_size_and_thumbnails(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        data = a_picture(77, 700, "PNG")
        answer = await web.post(f"{API}/query-images", params={"index": shown}, content=data)

        assert answer.json() == {
            "id": id_of(data),
            "width": 700,
            "height": 700,
            "format": "PNG",
            "stored": False,
        }
        for width in (128, 256, 512, 1024):
            path = f"{API}/query-images/{id_of(data)}/thumbnail"
            small = await web.get(path, params={"w": width})
            assert small.headers["content-type"] == "image/jpeg"
            assert size_of(small.content) == (min(width, 700),) * 2

    async def test_what_the_index_has_is_said_to_be_stored(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        where = {"index": shown}
        answer = await web.post(f"{API}/query-images", params=where, content=the_picture(3))

        assert answer.json()["stored"] is True

    async def test_sizes_are_of_the_upright_image(self, web: httpx.AsyncClient) -> None:
        turned = Image.new("RGB", (60, 40), "red")
        exif = Image.Exif()
        exif[0x0112] = 6
        answer = await web.post(
            f"{API}/query-images", content=encoded(turned, "JPEG", exif=exif.tobytes())
        )

        assert (answer.json()["width"], answer.json()["height"]) == (40, 60)

    @pytest.mark.parametrize(
        ("data", "status", "reason"),
        [
            (b"", 400, "IMAGE_EMPTY"),
            (b"<svg onload='alert(1)'/>", 400, "IMAGE_FORMAT_UNKNOWN"),
            (a_picture(1, 200, "JPEG")[:900], 400, "IMAGE_UNDECODABLE"),
            (bytes(1024 * 1024 + 1), 413, "BODY_TOO_LARGE"),
        ],
    )
    async def test_what_is_no_image_is_refused(
        self, web: httpx.AsyncClient, data: bytes, status: int, reason: str
    ) -> None:
        answer = await web.post(f"{API}/query-images", content=data)

        assert (answer.status_code, answer.json()["reason"]) == (status, reason)


class TestSearch:
    async def test_by_an_image_that_was_sent_by_id_and_by_text(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        query = await sent(web, a_picture(5, 300, "PNG"))
        by_image = await found(web, shown, terms=[{"query_image_id": query}], k=3)
        by_id = await found(web, shown, terms=[{"image_id": id_of(the_picture(5))}], k=3)
        by_text = await found(web, shown, terms=[{"text": "three green rings"}], k=3)

        assert ids(by_image)[0] == id_of(the_picture(5))
        assert len(ids(by_id)) == len(ids(by_text)) == 3

    async def test_terms_regions_filters_and_facets_together(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        query = await sent(web, the_picture(4))
        box = {"left": 0.1, "top": 0.1, "right": 0.9, "bottom": 0.9}
        answer = await found(
            web,
            shown,
            terms=[
                {"query_image_id": query, "region": {"box": box}},
                {"text": "a red square", "weight": -0.5},
            ],
            filter={"term": {"field": "tags", "value": {"text": "even"}}},
            facets=["tags"],
            explain=True,
            with_relevance=True,
            k=6,
        )

        assert len(answer["results"]) == 6
        assert answer["facets"][0]["values"] == [{"value": "even", "count": "6"}]
        for result in answer["results"]:
            gave = sum(term["contribution"] for term in result["explanation"])
            assert gave == pytest.approx(result["score"], abs=1e-3)

    async def test_pages_have_every_result_once(self, web: httpx.AsyncClient, shown: str) -> None:
        query = {"terms": [{"query_image_id": await sent(web, the_picture(2))}], "k": 12}
        seen: list[str] = []
        token = ""
        while True:
            page = await found(web, shown, **query, page_size=5, page_token=token)
            seen += ids(page)
            if not (token := page.get("next_page_token", "")):
                break

        assert seen == ids(await found(web, shown, **query))

    async def test_the_index_may_be_named_in_the_query_of_the_address(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        body = {"terms": [{"text": "a ring"}], "k": 1}
        answer = await web.post(f"{API}/search", params={"index": shown}, json=body)
        both = await web.post(
            f"{API}/search", params={"index": shown}, json={**body, "index": "another"}
        )

        assert len(answer.json()["results"]) == 1
        assert (both.status_code, both.json()["violations"][0]["field"]) == (400, "index")

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            ({"terms": []}, 400, "terms"),
            ({"terms": [{}]}, 400, "terms[0]"),
            ({"terms": "cat"}, 400, "terms"),
            ({"terms": ["cat"]}, 400, "terms"),
            ({"terms": [{"text": "a", "image_id": "b"}]}, 400, "terms[0]"),
            ({"terms": [{"text": 5}]}, 400, "terms[0].text"),
            ({"terms": [{"image": "AAAA"}]}, 400, "terms[0].image"),
            ({"terms": [{"image_id": "x"}]}, 400, "terms[0].image_id"),
            ({"terms": [{"query_image_id": "../../etc/passwd"}]}, 400, "terms[0].query_image_id"),
            ({"terms": [{"query_image_id": 5}]}, 400, "terms[0].query_image_id"),
            ({"terms": [{"query_image_id": image_id(0)}]}, 404, "terms[0].query_image_id"),
            (
                {"terms": [{"query_image_id": image_id(0), "text": "both"}]},
                400,
                "terms[0]",
            ),
            ({"terms": [{"text": "a", "weight": "heavy"}]}, 400, "terms[0].weight"),
            ({"terms": [{"text": "a"}], "k": -1}, 400, "k"),
            ({"terms": [{"text": "a"}], "k": 1e30}, 400, "k"),
            ({"terms": [{"text": "a"}], "colour": "red"}, 400, "colour"),
            ({"terms": [{"text": "a"}, {"size": 1}]}, 400, "terms[1].size"),
            ({"terms": [{"text": "a"}], "filter": {"range": 1}}, 400, "filter.range"),
            ({"terms": [{"text": "a"}], "index": ["x"]}, 400, "index"),
            ({"terms": [{"text": "a"}], "index": "Not A Name"}, 400, "index"),
            ({"terms": [{"text": "a"}], "filter": {"term": {"field": "x"}}}, 400, "filter"),
        ],
    )
    async def test_what_is_wrong_is_said_by_field(
        self, web: httpx.AsyncClient, shown: str, body: dict[str, Any], status: int, field: str
    ) -> None:
        answer = await web.post(f"{API}/search", json={"index": shown, **body})

        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, problem["status"]) == (status, status), problem
        assert problem["violations"][0]["field"].startswith(field), problem

    @pytest.mark.parametrize(
        ("data", "kind", "status"),
        [
            (b'{"terms": [}', "application/json", 400),
            (b'{"terms": NaN}', "application/json", 400),
            (b"\xff\xfe", "application/json", 400),
            (b"[]", "application/json", 400),
            (b"[" * 100_000, "application/json", 400),
            (b'{"filter":' * 500 + b"1" + b"}" * 500, "application/json", 400),
            (b"{}", "text/plain", 415),
            (b"{}", "application/x-www-form-urlencoded", 415),
            (b" " * (1024 * 1024 + 1), "application/json", 413),
        ],
    )
    async def test_what_is_no_json_is_refused(
        self, web: httpx.AsyncClient, data: bytes, kind: str, status: int
    ) -> None:
        headers = {"content-type": kind}
        answer = await web.post(f"{API}/search", content=data, headers=headers)

        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


class TestImages:
    async def test_what_is_known_of_an_image(self, web: httpx.AsyncClient, shown: str) -> None:
        answer = await web.get(f"{API}/images/{id_of(the_picture(1))}", params={"index": shown})

        image = answer.json()["image"]
        assert (image["image_name"], image["width"], image["tags"]) == ("1.jpg", 600, ["odd"])

    async def test_thumbnails_come_in_the_size_asked_for_and_are_kept_for_good(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        for width, side in ((128, 128), (256, 256), (512, 512), (1024, 600)):
            path = f"{API}/images/{id_of(the_picture(1))}/thumbnail"
            asked = {"index": shown, "w": width}
            small = await web.get(path, params=asked)
            etag = small.headers["etag"]
            again = await web.get(path, params=asked, headers={"if-none-match": f'"x", W/{etag}'})
            other = await web.get(path, params=asked, headers={"if-none-match": '"x"'})

            assert size_of(small.content) == (side, side)
            assert small.headers["cache-control"] == "private, max-age=31536000, immutable"
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == etag
            assert other.content == small.content

    async def test_an_original_is_a_download_of_the_very_bytes(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        path = f"{API}/images/{id_of(the_picture(1))}/original"
        answer = await web.get(path, params={"index": shown})
        etag = {"if-none-match": answer.headers["etag"]}

        assert answer.content == the_picture(1)
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["content-disposition"] == 'attachment; filename="1.jpg"'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert (await web.get(path, params={"index": shown}, headers=etag)).status_code == 304

    async def test_storing_reading_and_deleting(
        self, web: httpx.AsyncClient, new_index: str
    ) -> None:
        said = {
            "index": new_index,
            "relative_path": "käse/<b>ring & co</b>.png",
            "tags": ["a", "ü"],
            "caption": "Ring",
            "page_url": "https://example.org/rings",
            "refresh": "immediate",
        }
        data = a_picture(40)
        made = await web.post(f"{API}/images", params=said, content=data)
        again = await web.post(f"{API}/images", params=said, content=data)
        where = {"index": new_index}
        path = f"{API}/images/{id_of(data)}"
        read = (await web.get(path, params=where)).json()["image"]
        saved = await web.get(f"{path}/original", params=where)
        gone = await web.request(
            "DELETE", f"{API}/images", params=where, json={"image_ids": [id_of(data), image_id(9)]}
        )
        after = await web.get(path, params=where)

        created = {"image_id": id_of(data), "outcome": "UPSERT_OUTCOME_CREATED"}
        assert (made.status_code, made.json()) == (201, created)
        assert made.headers["location"] == path
        assert again.status_code == 200
        assert read["relative_path"] == said["relative_path"]
        assert (read["tags"], read["caption"]) == (["a", "ü"], "Ring")
        assert saved.headers["content-disposition"] == 'attachment; filename="b_.png"'
        assert gone.json() == {
            "deleted_image_ids": [id_of(data)],
            "missing_image_ids": [image_id(9)],
        }
        assert (after.status_code, after.json()["reason"]) == (404, "DOCUMENT_NOT_FOUND")

    @pytest.mark.parametrize(
        ("params", "data", "status", "field"),
        [
            ({}, b"", 400, "body"),
            ({}, b"no image", 400, "body"),
            ({"colour": "red"}, b"x", 400, "colour"),
            ({"url": "javascript:alert(1)"}, b"x", 400, "url"),
            ({"page_url": "http://[::1"}, b"x", 400, "page_url"),
            ({"refresh": "now"}, b"x", 400, "refresh"),
            ({"index": "-"}, b"x", 400, "index"),
        ],
    )
    async def test_what_cannot_be_stored(
        self,
        web: httpx.AsyncClient,
        new_index: str,
        params: dict[str, str],
        data: bytes,
        status: int,
        field: str,
    ) -> None:
        answer = await web.post(
            f"{API}/images", params={"index": new_index, **params}, content=data
        )

        assert answer.status_code == status, answer.text
        assert answer.json()["violations"][0]["field"] == field

    @pytest.mark.parametrize(
        ("path", "status", "reason"),
        [
            (f"images/{image_id(1)}", 404, "DOCUMENT_NOT_FOUND"),
            (f"images/{image_id(1)}/thumbnail", 404, "IMAGE_NOT_FOUND"),
            (f"images/{image_id(1)}/original", 404, "IMAGE_NOT_FOUND"),
            ("images/1", 400, "INVALID_REQUEST"),
            ("images/..%2f..%2fetc/thumbnail", 404, "NOT_FOUND"),
            (f"images/{image_id(1)}/thumbnail?w=300", 400, "INVALID_REQUEST"),
            (f"images/{image_id(1)}/thumbnail?w=x", 400, "INVALID_REQUEST"),
            ("query-images/x/thumbnail", 400, "INVALID_REQUEST"),
            (f"query-images/{image_id(1)}/thumbnail", 404, "QUERY_IMAGE_NOT_FOUND"),
            ("status?index=A", 400, "INVALID_REQUEST"),
            ("indexes?page_size=many", 400, "INVALID_REQUEST"),
            ("label-sets/none", 404, "LABEL_SET_NOT_FOUND"),
            ("nothing", 404, "NOT_FOUND"),
            ("search", 405, "METHOD_NOT_ALLOWED"),
        ],
    )
    async def test_what_cannot_be_read(
        self, web: httpx.AsyncClient, shown: str, path: str, status: int, reason: str
    ) -> None:
        joint = "&" if "?" in path else "?"
        where = "" if "index=" in path else f"{joint}index={shown}"
        answer = await web.get(f"{API}/{path}{where}")

        assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"


class TestVersionsAndClasses:
    async def test_versions_and_sources_of_an_image_that_was_sent(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        with Image.open(io.BytesIO(the_picture(7))) as image:
            half = encoded(image.resize((300, 300)), "JPEG", quality=80)
        source = {"query_image_id": await sent(web, half)}
        versions = await web.post(f"{API}/versions", json={"index": shown, "source": source})
        sources = await web.post(f"{API}/source", json={"index": shown, "source": source})

        best = versions.json()["versions"][0]
        assert best["image"]["image_id"] == id_of(the_picture(7))
        assert "RELATION_RESIZED" in best["relations"]
        assert sources.json()["sightings"][0]["source"]["relative_path"] == "drawings/7.jpg"

    async def test_classes_of_an_image_of_the_index(
        self, web: httpx.AsyncClient, shown: str
    ) -> None:
        names = [{"name": "ring"}, {"name": "square"}, {"name": "star"}]
        body = {
            "index": shown,
            "source": {"image_id": id_of(the_picture(1))},
            "labels": {"labels": names},
            "top_k": 3,
        }
        classified = await web.post(f"{API}/classify", json=body)
        identified = await web.post(f"{API}/identify", json=body)

        assert {label["name"] for label in classified.json()["labels"]} == {
            "ring",
            "square",
            "star",
        }
        assert identified.json()["neighbors"]

    async def test_label_sets_are_listed_and_read(self, web: httpx.AsyncClient) -> None:
        listed = (await web.get(f"{API}/label-sets")).json()["label_sets"]
        first = listed[0]["name"]
        read = (await web.get(f"{API}/label-sets/{first}")).json()

        assert read["label_set"]["name"] == first
        assert len(read["labels"]["labels"]) == read["label_set"]["label_count"]

    @pytest.mark.parametrize("path", ["versions", "source", "classify", "identify"])
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "source"),
            ({"source": "x"}, "source"),
            ({"source": {}}, "source"),
            ({"source": {"image": "AAAA"}}, "source"),
            ({"source": {"url": "http://a", "image_id": "b"}}, "source"),
            ({"source": {"image_id": ""}}, "source.image_id"),
            ({"source": {"image_id": "x"}}, "source.image_id"),
            ({"source": {"query_image_id": "x"}}, "source.query_image_id"),
            ({"source": {"image_id": image_id(1)}, "image": "AAAA"}, "image"),
            ({"source": {"image_id": image_id(1)}, "imageId": "x"}, "imageId"),
        ],
    )
    async def test_images_are_named_in_one_way(
        self, web: httpx.AsyncClient, shown: str, path: str, body: dict[str, Any], field: str
    ) -> None:
        choice = {"labels": {"labels": [{"name": "a"}]}} if path in {"classify", "identify"} else {}
        answer = await web.post(f"{API}/{path}", json={"index": shown, **choice, **body})

        assert answer.status_code == 400, answer.text
        assert answer.json()["violations"][0]["field"] == field, answer.text

    async def test_duplicates_come_as_events(self, web: httpx.AsyncClient, new_index: str) -> None:
        with Image.open(io.BytesIO(the_picture(7))) as image:
            half = encoded(image.resize((300, 300)), "JPEG", quality=80)
        for data in (the_picture(7), half, the_picture(6)):
            said = {"index": new_index, "refresh": "immediate"}
            await web.post(f"{API}/images", params=said, content=data)

        events = await read_events(web, {"index": new_index, "keep": "largest"})

        names = [name for name, _ in events]
        assert names[0] == "progress"
        assert names[-2:] == ["group", "summary"]
        assert events[-2][1]["keep_image_id"] == id_of(the_picture(7))
        assert events[-1][1]["group_count"] == "1"

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({"keep": "smallest"}, "keep"),
            ({"min_confidence": "sure"}, "min_confidence"),
            ({"filter": "{"}, "filter"),
            ({"filter": '{"x": 1}'}, "filter"),
        ],
    )
    async def test_a_scan_that_cannot_begin_is_a_problem(
        self, web: httpx.AsyncClient, shown: str, params: dict[str, str], field: str
    ) -> None:
        answer = await web.get(f"{API}/duplicates", params={"index": shown, **params})

        assert answer.status_code == 400
        assert answer.json()["violations"][0]["field"].startswith(field), answer.text

    async def test_what_the_gateway_refuses_is_an_event(
        self, web: httpx.AsyncClient, new_index: str
    ) -> None:
        events = await read_events(web, {"index": new_index})

        assert [name for name, _ in events] == ["problem"]
        assert events[0][1]["status"] == 404


async def read_events(
    web: httpx.AsyncClient, params: dict[str, str]
) -> list[tuple[str, dict[str, Any]]]:
    """Reads a stream of duplicates to its end: names and data."""
    events = []
    async with web.stream("GET", f"{API}/duplicates", params=params) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    return events
