"""imagesearch_collect: lists of URLs, read and fetched."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from imagesearch_collect.collection import Collection
from imagesearch_collect.host_queues import HostQueues
from imagesearch_collect.image_rules import ImageRules
from imagesearch_collect.manifest import Place
from imagesearch_collect.outcomes import Tally
from imagesearch_collect.url_fetching import HOST_FAILURES, UrlsFetch, UrlsOptions
from imagesearch_collect.url_lists import Columns, Entry, ListError, read_list
from tests.picture_site import Names, Reply, Site, gzip_bomb, lines, picture, png, redirect, serving

ROWS: list[dict[str, Any]] = [
    {"url": "http://x.org/1.png", "caption": 'One, "first"', "tags": "a; b,a", "year": 1999},
    {"url": " http://x.org/2.png ", "caption": "二", "tags": "", "year": None},
]


def write(path: Path) -> Path:
    match path.suffix:
        case ".txt":
            path.write_text("# a list\n" + "\n\n".join(row["url"] for row in ROWS))
        case ".csv" | ".tsv":
            with path.open("w", newline="", encoding="utf-8-sig") as file:
                delimiter = "," if path.suffix == ".csv" else "\t"
                writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
                writer.writeheader()
                writer.writerows(ROWS)
        case ".jsonl":
            path.write_text("\n".join(json.dumps(row) for row in ROWS))
        case ".parquet":
            rows = [{**row, "tags": row["tags"].replace(";", ",").split(",")} for row in ROWS]
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".jsonl", ".parquet"])
def test_lists_of_every_kind(tmp_path: Path, suffix: str) -> None:
    columns = Columns() if suffix == ".txt" else Columns(attributes=("year",))

    one, two = read_list(write(tmp_path / f"list{suffix}"), columns)

    assert (one.url, two.url) == ("http://x.org/1.png", "http://x.org/2.png")
    if suffix != ".txt":
        assert (one.place.caption, two.place.caption) == ('One, "first"', "二")
        assert (one.place.tags, two.place.tags) == (("a", "b"), ())
        year = "1999" if suffix in (".csv", ".tsv") else 1999
        assert (one.place.attributes, two.place.attributes) == ({"year": year}, {})


def test_columns_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    row = {"link": "http://x.org/1", "said": "A", "where": "http://x.org/", "kinds": ["k"]}
    path.write_text(json.dumps(row))

    columns = Columns(url="link", alt="said", page_url="where", tags="kinds")
    [entry] = read_list(path, columns)

    place = Place(page_url="http://x.org/", alt="A", tags=("k",))
    assert entry == Entry("http://x.org/1", place, 1)


def test_lines_that_say_nothing_are_given_empty(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_bytes(b'nonsense\n\n[1]\n{"url": 7}\n{"other": 1}\n\xff\n{"url": "http://x.org/"}')

    found = [(entry.line, entry.url) for entry in read_list(path, Columns())]

    assert found == [(1, ""), (3, ""), (4, ""), (5, ""), (6, ""), (7, "http://x.org/")]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.csv", b"link\nhttp://x.org/", Columns()),
        ("a.csv", b"url\nhttp://x.org/", Columns(caption="said")),
        ("a.csv", b"url\nhttp://x.org/", Columns(attributes=("year",))),
        ("a.csv", b"", Columns()),
        ("a.csv", b'url\n"' + b"x" * 200_000, Columns()),
        ("a.parquet", b"PAR1 this is not", Columns()),
        ("missing.txt", None, Columns()),
    ],
)
def test_lists_that_cannot_be_read(
    tmp_path: Path, name: str, content: bytes | None, columns: Columns
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ListError):
        list(read_list(tmp_path / name, columns))


def replies(own: str) -> dict[str, Reply]:
    return {
        **{f"/{n}.png": png(n) for n in range(30)},
        "/twin.png": png(1),
        "/moved.png": redirect("/2.png"),
        "/inside.png": redirect("http://10.0.0.1/"),
        "/slow.png": replace(png(3), after_s=30),
        "/bomb.png": gzip_bomb(60_000_000),
        "/tagged.png": png(4, **{"X-Robots-Tag": "noimageindex"}),
        "/words.png": Reply(b"words", "text/html"),
        "/broken.png": Reply(picture(5)[:3_000], "image/png"),
        "/busy.png": Reply(status=503, headers={"Retry-After": "0"}),
        "/circle.png": redirect("/circle.png"),
    }


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving(replies) as served:
        yield served


async def fetch(folder: Path, site: Site, urls: list[str], guard: Any = None, **told: Any) -> Tally:
    entries = (Entry(url, Place(caption=url[-5:]), n) for n, url in enumerate(urls, 1))
    collecting = {key: told.pop(key) for key in ("retry_failed", "refresh") if key in told}
    options = UrlsOptions(guard or site.guard(), "test", **{"delay_s": 0.0, "timeout_s": 2, **told})
    tally = Tally()
    with Collection(folder, ImageRules(), tally, **collecting) as collection:
        await UrlsFetch(entries, options, collection).run()
    return tally


def reasons(folder: Path) -> dict[str, str]:
    errors = lines(folder / "errors.jsonl")
    return {str(error["url"]).rpartition("/")[2]: str(error["reason"]) for error in errors}


async def test_a_list_is_collected_exactly(site: Site, tmp_path: Path) -> None:
    wanted = [site.url(f"/{n}.png") for n in range(30)]
    failing = {
        "gone.png": "STATUS",
        "inside.png": "URL_FORBIDDEN",
        "slow.png": "TIMEOUT",
        "bomb.png": "TOO_LARGE",
        "tagged.png": "NOINDEX",
        "words.png": "WRONG_TYPE",
        "broken.png": "UNDECODABLE",
        "circle.png": "REDIRECTS",
        "busy.png": "BUSY",
    }
    urls = [*wanted, *map(site.url, ("/twin.png", "/moved.png")), *wanted]
    urls += [site.url(f"/{name}") for name in failing]

    tally = await fetch(tmp_path, site, urls, retries=1)

    manifest = list(lines(tmp_path / "manifest.jsonl"))
    assert {line["url"]: line["sha256"] for line in manifest} == {
        **{url: sha256(picture(n)).hexdigest() for n, url in enumerate(wanted)},
        site.url("/twin.png"): sha256(picture(1)).hexdigest(),
        site.url("/moved.png"): sha256(picture(2)).hexdigest(),
    }
    assert len(manifest) == 32
    assert reasons(tmp_path) == failing
    assert (tally.stored, tally.duplicates) == (30, 2)
    asked = site.times()
    assert all(asked[f"/{n}.png"] == 1 for n in range(30) if n != 2)
    assert (asked["/busy.png"], asked["/slow.png"], asked["/gone.png"]) == (2, 2, 1)


async def test_a_second_run_fetches_what_is_new_or_failed_in_passing(
    site: Site, tmp_path: Path
) -> None:
    urls = [site.url(path) for path in ("/1.png", "/gone.png", "/busy.png")]
    await fetch(tmp_path, site, urls, retries=0)
    site.forget()

    await fetch(tmp_path, site, [*urls, site.url("/2.png")], retries=0)
    assert site.times() == {"/busy.png": 1, "/2.png": 1}
    site.forget()

    site.replies["/gone.png"] = png(7)
    await fetch(tmp_path, site, urls, retries=0, retry_failed=True)
    assert site.times() == {"/busy.png": 1, "/gone.png": 1}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "URL_INVALID"),
        ("/etc/passwd", "URL_INVALID"),
        ("data:image/png;base64,AAAA", "URL_INVALID"),
        ("http://user:secret@127.0.0.1/", "URL_INVALID"),
        ("http://10.0.0.1/a.png", "URL_FORBIDDEN"),
        ("http://169.254.169.254/latest/meta-data/", "URL_FORBIDDEN"),
        ("http://2130706433/", "URL_FORBIDDEN"),
        ("http://0177.1/", "URL_FORBIDDEN"),
        ("http://0x7f000001/", "URL_FORBIDDEN"),
        ("http://127。0。0。1:99/", "URL_FORBIDDEN"),
        ("http://[::ffff:10.0.0.1]/", "URL_FORBIDDEN"),
        ("http://example.org:22/", "URL_FORBIDDEN"),
        ("http://inside.example/", "URL_FORBIDDEN"),
        ("http://half.example/", "URL_FORBIDDEN"),
        ("http://unknown.example/", "UNREACHABLE"),
        ("", "URL_INVALID"),
    ],
)
async def test_hostile_entries(site: Site, tmp_path: Path, url: str, reason: str) -> None:
    names = {"inside.example": ["127.0.0.1"], "half.example": ["93.184.216.34", "10.0.0.1"]}
    guard = replace(site.guard(), allowed=(), resolver=Names(names))

    tally = await fetch(tmp_path, site, [url], guard=guard, retries=0)

    assert [error["reason"] for error in lines(tmp_path / "errors.jsonl")] == [reason]
    assert tally.refused.total() == 1
    assert site.asked == []


async def test_hosts_are_spared(site: Site, tmp_path: Path) -> None:
    for n in range(30):
        site.replies[f"/{n}.png"] = replace(png(n), after_s=0.02)

    await fetch(tmp_path, site, [site.url(f"/{n}.png") for n in range(30)], per_host=3)

    assert site.most_at_once <= 3


async def test_a_host_that_is_down_is_given_up(site: Site, tmp_path: Path) -> None:
    """And costs the others nothing."""
    dead = [f"http://127.0.0.1:{site.port + 1}/{n}" for n in range(50)]
    guard = replace(site.guard(), ports=frozenset({site.port, site.port + 1}))
    names = Names({"dead.example": ["127.0.0.9"]})
    dead = [f"http://dead.example:{site.port}/{n}" for n in range(50)]
    alive = [site.url(f"/{n}.png") for n in range(10)]

    tally = await fetch(
        tmp_path, site, dead + alive, guard=replace(guard, resolver=names), retries=0
    )

    assert tally.stored == 10
    said = [str(error["message"]) for error in lines(tmp_path / "errors.jsonl")]
    assert len(said) == 50
    assert sum("was not asked for" in each for each in said) >= 50 - HOST_FAILURES - 4


async def test_a_list_that_breaks_off_is_fetched_as_far_as_it_goes(
    site: Site, tmp_path: Path
) -> None:
    def broken() -> Iterator[Entry]:
        yield Entry(site.url("/1.png"), Place(), 1)
        raise ListError("broken off")

    with Collection(tmp_path, ImageRules(), tally := Tally()) as collection:
        options = UrlsOptions(site.guard(), "test")
        with pytest.raises(ListError, match="broken off"):
            await UrlsFetch(broken(), options, collection).run()
    assert tally.stored == 1


async def test_stopping_lets_what_is_in_flight_come(site: Site, tmp_path: Path) -> None:
    for n in range(30):
        site.replies[f"/{n}.png"] = replace(png(n), after_s=0.2)
    entries = (Entry(site.url(f"/{n}.png"), Place(), n) for n in range(30))

    with Collection(tmp_path, ImageRules(), tally := Tally()) as collection:
        options = UrlsOptions(site.guard(), "test", per_host=4, delay_s=0)
        run = UrlsFetch(entries, options, collection)
        running = asyncio.create_task(run.run())
        await site.has_been_asked(4)
        await run.stop()
        end = await running

    assert end == "shutdown"
    assert tally.stored == len(site.asked) == 4


async def test_queues_give_hosts_in_turn_and_let_them_rest() -> None:
    queues = HostQueues[int](per_host=1, delay_s=0.1)
    for n in range(3):
        await queues.put("a", n)
    await queues.put("b", 9)
    await queues.close()
    loop = asyncio.get_running_loop()

    began, taken = loop.time(), []
    while (item := await queues.take()) is not None:
        taken.append((item, round(loop.time() - began, 1)))
        await queues.done(item[0])

    assert [item for item, _ in taken] == [("a", 0), ("b", 9), ("a", 1), ("a", 2)]
    assert [at for _, at in taken[1:]] == [0.0, 0.1, 0.2]


async def test_queues_hold_up_who_puts_too_much() -> None:
    queues = HostQueues[int](per_host=1, delay_s=0, most=2)
    await queues.put("a", 1)
    await queues.put("a", 2)
    putting = asyncio.create_task(queues.put("b", 3))
    await asyncio.sleep(0.02)

    assert not putting.done()
    assert await queues.take() == ("a", 1)
    await asyncio.wait_for(putting, 1)
    assert await queues.take() == ("b", 3)  # the place of "a" is taken
    await queues.done("a")
    assert await queues.take() == ("a", 2)
