"""imagesearch_collect: a site is collected exactly: nothing missing, nothing forbidden."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from imagesearch_collect.collection import Collection
from imagesearch_collect.image_rules import ImageRules
from imagesearch_collect.outcomes import Tally
from imagesearch_collect.page_log import PAGES, PageLog
from imagesearch_collect.site import SiteCrawl
from imagesearch_collect.site_job import SiteJob, SiteOptions
from tests.picture_site import (
    Names,
    Reply,
    Site,
    gzip_bomb,
    html,
    lines,
    picture,
    png,
    redirect,
    serving,
)

BIG = (1_900, 1_800)

LINKS = (
    "/gallery/",
    "/moved",
    "/gone",
    "/slow",
    "/unread",
    "/secret/page",
    "/deep/1",
    "/paper.pdf",
    "/photo/17",
    "/elsewhere",
    "/archive",
    "/inside",
    "/#top",
)

FORBIDDEN = (
    "/secret/page",
    "/secret/a.png",
    "/never",
    "/unread.png",
    "/deep/4",
    "/deep4.png",
    "/paper.pdf",
    "/off-site",
    "/off-site.png",
    "/beyond",
    "/beyond.png",
    "/small.png",
    "/drawing.jxl",
)


def pages_and_pictures(own: str) -> dict[str, Reply]:
    foreign = own.replace("127.0.0.1", "localhost")
    links = "".join(f'<a href="{path}">{path}</a>' for path in LINKS)
    home = f"""
        <figure><img src="/plain.png" alt="A plain one"><figcaption>In words</figcaption></figure>
        <img src="/twin.png" alt="The same bytes"> <img src="/secret/a.png">
        <img src="data:image/png;base64,iVBORw0KGgo="> <img src="file:///etc/passwd">
        <img src="{foreign}/off-site.png"> <img src="/to-metadata.png"> <img src="/to-foreign.png">
        <img src="/moved.png"> <img src="/gone.png"> <img src="/slow.png"> <img src="/broken.png">
        <img src="/words.png"> <img src="/bomb.png"> <img src="/tiny.png"> <img src="/tagged.png">
        <img src="http://169.254.169.254/latest/a.png"> <img src="http://2130706433/a.png">
        <img src="/huge.bmp"> <img src="/vector.svg"> <img src="/circle.png">
        {links} <a href="{foreign}/off-site">off</a> <a href="mailto:a@example.org">mail</a>"""
    gallery = """
        <img src="/small.png" srcset="/small.png 320w, /large.png 1280w" alt="Of several sizes">
        <picture><source type="image/jxl" srcset="/drawing.jxl 4000w">
            <source type="image/webp" srcset="/small.png 1x, /picture.webp 2x">
            <img src="/small.png">
        </picture>
        <img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" data-src="/lazy.png">
        <img class="lazy" data-srcset="/small.png 1x, /lazier.png 2x">
        <noscript><img src="/noscript.png"></noscript>
        <div style="background-image: url('/styled.png')"></div>
        <a href="/linked.jpg"><img src="/plain.png" alt="Once more"></a> <img src="/big.bmp">"""
    og = '<meta property="og:image" content="/shared.png">'
    return {
        "/robots.txt": Reply(b"User-agent: *\nDisallow: /secret/\n", "text/plain"),
        "/": html(home, "Home"),
        "/gallery/": html(gallery, "Gallery", og),
        "/moved": redirect("/new/place"),
        "/new/place": html('<img src="here.png">', "Moved"),
        "/slow": replace(html("late"), after_s=30),
        "/unread": html(
            '<img src="/unread.png"><a href="/never">', head='<meta name="robots" content="none">'
        ),
        "/secret/page": html('<img src="/secret/a.png">'),
        "/deep/1": html('<a href="/deep/2">'),
        "/deep/2": html('<a href="/deep/3"><img src="/deep2.png">'),
        "/deep/3": html('<a href="/deep/4"><img src="/deep3.png">'),
        "/deep/4": html('<img src="/deep4.png">'),
        "/elsewhere": redirect(f"{foreign}/beyond"),
        "/inside": redirect("http://10.0.0.1/admin"),
        "/beyond": html('<img src="/beyond.png">'),
        "/archive": Reply(b"PK" * 1_000, "application/zip"),
        "/photo/17": png(17),
        "/plain.png": png(1),
        "/twin.png": png(1),
        "/moved.png": redirect("/target.png"),
        "/target.png": png(2),
        "/to-metadata.png": redirect("http://169.254.169.254/latest/meta-data/"),
        "/to-foreign.png": redirect(f"{foreign}/beyond.png"),
        "/circle.png": redirect("/circle.png"),
        "/slow.png": replace(png(3), after_s=30),
        "/broken.png": Reply(picture(4)[:5_000], "image/png"),
        "/words.png": html("This is not an image."),
        "/bomb.png": gzip_bomb(60_000_000),
        "/tiny.png": Reply(picture(5, size=(20, 20)), "image/png"),
        "/tagged.png": png(6, **{"X-Robots-Tag": "imagesearch: noindex"}),
        "/huge.bmp": Reply(bytes(13_000_000), "image/bmp"),
        "/vector.svg": Reply(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        "/large.png": png(7),
        "/picture.webp": Reply(picture(8, "WEBP"), "image/webp"),
        "/lazy.png": png(9),
        "/lazier.png": png(10),
        "/noscript.png": png(11),
        "/styled.png": png(12),
        "/linked.jpg": Reply(picture(13, "JPEG"), "application/octet-stream"),
        "/shared.png": png(14),
        "/big.bmp": Reply(picture(15, "BMP", BIG), "image/bmp"),
        "/new/here.png": png(16),
        "/deep2.png": png(18),
        "/deep3.png": png(19),
    }


PLACES = {
    ("/plain.png", "/", 1),
    ("/twin.png", "/", 1),
    ("/moved.png", "/", 2),
    ("/large.png", "/gallery/", 7),
    ("/picture.webp", "/gallery/", 8),
    ("/lazy.png", "/gallery/", 9),
    ("/lazier.png", "/gallery/", 10),
    ("/noscript.png", "/gallery/", 11),
    ("/styled.png", "/gallery/", 12),
    ("/linked.jpg", "/gallery/", 13),
    ("/plain.png", "/gallery/", 1),
    ("/shared.png", "/gallery/", 14),
    ("/big.bmp", "/gallery/", 15),
    ("/new/here.png", "/new/place", 16),
    ("/photo/17", "/", 17),
    ("/deep2.png", "/deep/2", 18),
    ("/deep3.png", "/deep/3", 19),
}
"""Image, page it is on, and which picture it is."""

REFUSED = {
    "/secret/a.png": "ROBOTS",
    "/to-metadata.png": "URL_FORBIDDEN",
    "/to-foreign.png": "OFF_SITE",
    "/gone.png": "STATUS",
    "/slow.png": "TIMEOUT",
    "/broken.png": "UNDECODABLE",
    "/words.png": "WRONG_TYPE",
    "/bomb.png": "TOO_LARGE",
    "/tiny.png": "TOO_SMALL",
    "/tagged.png": "NOINDEX",
    "/huge.bmp": "TOO_LARGE",
    "/vector.svg": "FORMAT",
    "/circle.png": "REDIRECTS",
}

PAGES_REFUSED = {
    "/secret/page": "ROBOTS",
    "/gone": "STATUS",
    "/slow": "TIMEOUT",
    "/inside": "URL_FORBIDDEN",
}

FORMATS = {"/picture.webp": "WEBP", "/linked.jpg": "JPEG", "/big.bmp": "BMP"}
RULES = ImageRules(max_bytes=12_000_000)


@dataclass
class Crawled:
    """A crawl that has ended."""

    folder: Path
    end: str
    tally: Tally

    def manifest(self) -> list[dict[str, Any]]:
        return list(lines(self.folder / "manifest.jsonl"))

    def errors(self) -> list[dict[str, Any]]:
        return list(lines(self.folder / "errors.jsonl"))


def options(site: Site, *seeds: str, **changed: Any) -> SiteOptions:
    return SiteOptions(
        seeds=[site.url(seed) for seed in seeds or ("/",)],
        guard=site.guard(),
        user_agent="imagesearch/test (+mailto:me@example.org)",
        delay_s=0.0,
        timeout_s=changed.pop("timeout_s", 3.0),
        retries=changed.pop("retries", 0),
        **changed,
    )


async def crawl(
    folder: Path, told: SiteOptions, rules: ImageRules = RULES, **collecting: Any
) -> Crawled:
    tally = Tally()
    with Collection(folder, rules, tally, **collecting) as collection, PageLog(folder) as log:
        end = await SiteCrawl(SiteJob(told, collection, log)).run()
    return Crawled(folder, end, tally)


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with serving(pages_and_pictures) as served:
        yield served


@pytest.fixture(scope="module")
async def crawled(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Crawled:
    """The whole site, three links deep."""
    return await crawl(tmp_path_factory.mktemp("site"), options(site, max_depth=3))


def test_every_image_is_collected_and_no_other(site: Site, crawled: Crawled) -> None:
    found = [
        (site.path(line["url"]), site.path(line["page_url"]), line["sha256"])
        for line in crawled.manifest()
    ]

    def content(path: str, number: int) -> bytes:
        size = {"size": BIG} if path == "/big.bmp" else {}
        return picture(number, FORMATS.get(path, "PNG"), **size)

    expected = [(p, page, sha256(content(p, n)).hexdigest()) for p, page, n in PLACES]
    assert sorted(found) == sorted(expected)
    assert crawled.end == "finished"


def test_nothing_forbidden_is_asked_for(site: Site, crawled: Crawled) -> None:
    assert not site.times().keys() & set(FORBIDDEN)
    assert site.hosts == {"127.0.0.1"}
    assert site.agents == {"imagesearch/test (+mailto:me@example.org)"}


def test_nothing_is_asked_for_twice(site: Site, crawled: Crawled) -> None:
    twice = {path for path, times in site.times().items() if times > 1}

    assert twice == {"/circle.png"}
    assert site.times()["/robots.txt"] == 1


def test_what_is_refused_says_why(site: Site, crawled: Crawled) -> None:
    images = {e["url"]: e["reason"] for e in crawled.errors() if "kind" not in e}
    pages = {e["url"]: e["reason"] for e in crawled.errors() if e.get("kind") == "page"}

    foreign = site.url("/off-site.png", "localhost")
    forbidden = ("http://169.254.169.254/latest/a.png", "http://2130706433/a.png")
    assert images == {
        **{site.url(path): reason for path, reason in REFUSED.items()},
        **dict.fromkeys(forbidden, "URL_FORBIDDEN"),
        foreign: "OFF_SITE",
    }
    assert pages == {site.url(path): reason for path, reason in PAGES_REFUSED.items()}


def test_originals_are_kept_once(crawled: Crawled) -> None:
    files = sorted(crawled.folder.glob("images/*/*/*"))

    assert len(files) == len({number for _, _, number in PLACES})
    for file in files:
        digest = sha256(file.read_bytes()).hexdigest()
        assert (file.stem, *file.parts[-3:-1]) == (digest, digest[:2], digest[2:4])
    assert {str(f.relative_to(crawled.folder)) for f in files} == {
        line["path"] for line in crawled.manifest()
    }


def test_the_manifest_says_what_is_known(site: Site, crawled: Crawled) -> None:
    by_place = {(site.path(x["url"]), site.path(x["page_url"])): x for x in crawled.manifest()}

    plain = by_place["/plain.png", "/"]
    assert (plain["alt"], plain["caption"]) == ("A plain one", "In words")
    assert (plain["page_title"], plain["content_type"]) == ("Home", "image/png")
    assert (plain["width"], plain["height"], plain["format"]) == (80, 70, "PNG")
    assert plain["size_bytes"] == len(picture(1))
    assert plain["fetched_at"].endswith("Z")
    assert by_place["/plain.png", "/gallery/"]["alt"] == "Once more"
    assert by_place["/linked.jpg", "/gallery/"]["alt"] == "Once more"
    assert by_place["/moved.png", "/"]["final_url"] == site.url("/target.png")
    assert "final_url" not in plain


def test_the_tally(crawled: Crawled) -> None:
    tally = crawled.tally

    assert (tally.stored, tally.duplicates, tally.known) == (15, 1, 0)
    assert tally.refused.total() == len(REFUSED) + 3
    assert tally.done == tally.found
    by_rule = {"ROBOTS", "NOINDEX", "OFF_SITE", "FORMAT", "TOO_LARGE", "TOO_SMALL"}
    both = [*REFUSED.values(), *PAGES_REFUSED.values()]
    assert tally.failed == sum(reason not in by_rule for reason in both) + 2


async def test_a_second_crawl_fetches_no_image(site: Site, crawled: Crawled) -> None:
    before, site.asked = (crawled.manifest(), site.asked), []

    again = await crawl(crawled.folder, options(site, max_depth=3, timeout_s=1.5))

    asked, site.asked = site.asked, before[1]
    assert "/gallery/" in asked
    # What was late, and what led off the site, may go well another time.
    assert {p for p in asked if "." in p} == {"/robots.txt", "/slow.png", "/to-foreign.png"}
    assert again.manifest() == before[0]
    assert again.tally.known == 16


async def test_a_refresh_asks_whether_images_have_changed(tmp_path: Path) -> None:
    def make(own: str) -> dict[str, Reply]:
        return {
            "/": html('<img src="/same.png"><img src="/changed.png">'),
            "/same.png": png(1, ETag='"same"'),
            "/changed.png": png(2, ETag='"old"'),
        }

    async with serving(make) as site:
        await crawl(tmp_path, options(site))
        site.replies["/changed.png"] = png(3, ETag='"new"')
        again = await crawl(tmp_path, options(site), refresh=True)

        assert site.headers["/same.png"]["If-None-Match"] == '"same"'
    assert (again.tally.stored, again.tally.known) == (1, 1)
    assert [site.path(line["url"]) for line in again.manifest()].count("/changed.png") == 2
    assert len(again.manifest()) == 3


async def test_a_crawl_that_met_its_bound_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Few pages at a time, until all is there: the same as in one go, and no page twice."""

    def make(own: str) -> dict[str, Reply]:
        every = pages_and_pictures(own)
        return {path: reply for path, reply in every.items() if not path.startswith("/slow")}

    async with serving(make) as site:
        ends = []
        while not ends or ends[-1] != "finished":
            assert len(ends) < 10
            told = options(site, max_depth=3, max_pages=2, concurrency=1)
            last = await crawl(tmp_path, told)
            ends.append(last.end)

        found = [(site.path(x["url"]), site.path(x["page_url"])) for x in last.manifest()]
        asked = site.times()
    assert ends[:-1] == ["max pages"] * (len(ends) - 1)
    assert len(ends) > 3
    assert sorted(found) == sorted((path, page) for path, page, _ in PLACES)
    assert all(asked[path] == 1 for path in ("/", "/gallery/", "/deep/2", "/plain.png"))
    assert not (tmp_path / PAGES).exists()


@pytest.mark.parametrize("bound", [{"max_images": 4}, {"max_bytes": 4 * len(picture(1))}])
async def test_as_many_images_as_asked_for(site: Site, tmp_path: Path, bound: Any) -> None:
    before = list(site.asked)
    ended = await crawl(tmp_path, options(site, "/gallery/", max_depth=0, **bound))
    site.asked = before

    assert ended.end == "max images or bytes"
    *but_one, last = [line["size_bytes"] for line in ended.manifest()]
    if "max_images" in bound:
        assert len(but_one) == 3
    else:
        assert sum(but_one) < bound["max_bytes"] <= sum(but_one) + last


async def test_a_crawl_ends_in_time(tmp_path: Path) -> None:
    def make(own: str) -> dict[str, Reply]:
        links = "".join(f'<a href="/{n}">' for n in range(500))
        pages = {f"/{n}": replace(html("x"), after_s=0.05) for n in range(500)}
        return {"/": html(links), **pages}

    async with serving(make) as site:
        ended = await crawl(tmp_path, options(site, max_seconds=1, per_host=1))

    assert ended.end == "max time"
    assert 1 < ended.tally.pages < 100


async def test_images_of_other_hosts_only_if_asked(tmp_path: Path) -> None:
    def make(own: str) -> dict[str, Reply]:
        foreign = own.replace("127.0.0.1", "127.0.0.2")
        return {
            "/": html(f'<img src="{foreign}/a.png"><a href="{foreign}/page">'),
            "/a.png": png(1),
            "/page": html('<img src="/b.png">'),
        }

    async with serving(make) as site:
        narrow = await crawl(tmp_path / "narrow", options(site))
        assert site.hosts == {"127.0.0.1"}
        assert [error["reason"] for error in narrow.errors()] == ["OFF_SITE"]
        # 127.0.0.2 is not listened on; that it is tried is enough to know.
        wide = await crawl(tmp_path / "wide", options(site, images="any"))
    assert [error["reason"] for error in wide.errors()] == ["ROBOTS"]


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (403, True), (500, False), (503, False), (429, False)]
)
async def test_robots_txt_that_cannot_be_had(tmp_path: Path, status: int, allowed: bool) -> None:
    """RFC 9309: not there means allowed; broken means not."""

    def make(own: str) -> dict[str, Reply]:
        rules = Reply(b"User-agent: *\nDisallow: /", status=status)
        return {"/robots.txt": rules, "/": html("", "Home")}

    async with serving(make) as site:
        ended = await crawl(tmp_path, options(site))

        assert ("/" in site.asked) == allowed
    assert ended.tally.pages == allowed


async def test_a_crawl_delay_is_kept(tmp_path: Path) -> None:
    def make(own: str) -> dict[str, Reply]:
        return {
            "/robots.txt": Reply(b"User-agent: imagesearch\nCrawl-delay: 0.4"),
            "/": html('<a href="/1"><a href="/2"><a href="/3">'),
            **{f"/{n}": html("x") for n in (1, 2, 3)},
        }

    async with serving(make) as site:
        began = asyncio.get_running_loop().time()
        ended = await crawl(tmp_path, options(site))

    assert ended.tally.pages == 4
    assert asyncio.get_running_loop().time() - began > 4 * 0.2  # delays are varied by half


async def test_stopping_does_not_wait_for_the_turn_of_others(tmp_path: Path) -> None:
    """What waits behind a long delay is not asked for, and a later crawl takes it up."""

    def make(own: str) -> dict[str, Reply]:
        images = "".join(f'<img src="/{n}.png">' for n in range(10))
        return {"/": html(images), **{f"/{n}.png": png(n) for n in range(10)}}

    async with serving(make) as site:
        began = asyncio.get_running_loop().time()
        stopped = await crawl(tmp_path, replace(options(site, max_seconds=2), delay_s=1.5))
        took = asyncio.get_running_loop().time() - began
        ended = await crawl(tmp_path, options(site))

        assert max(site.times()[f"/{n}.png"] for n in range(10)) == 1
    assert stopped.end == "max time"
    assert took < 6
    assert stopped.errors() == ended.errors() == []
    assert (ended.end, len(ended.manifest())) == ("finished", 10)


async def test_a_busy_site_is_given_the_time_it_asks_for(tmp_path: Path) -> None:
    busy = Reply(status=503, headers={"Retry-After": "1"})
    loop = asyncio.get_running_loop()

    async with serving(lambda own: {"/": busy}) as site:
        crawling = asyncio.create_task(crawl(tmp_path, options(site, retries=1)))
        await site.has_been_asked(2)  # robots.txt and the page
        site.replies["/"] = html("now")
        began = loop.time()
        ended = await crawling

    assert ended.tally.pages == 1
    assert loop.time() - began > 0.4  # delays are varied by half


async def test_names_of_the_inside_are_not_connected_to(tmp_path: Path) -> None:
    """A page may name what it likes: where the name leads is looked at when connecting."""

    def make(own: str) -> dict[str, Reply]:
        port = own.rpartition(":")[2]
        body = f"""<img src="http://inside.example:{port}/a.png">
            <img src="http://metadata.example/b.png"> <img src="http://10.0.0.1/c.png">
            <img src="http://127.1:{port}/d.png"> <img src="http://[::ffff:10.0.0.1]/e.png">
            <img src="http://public.example:{port}/f.png"> <img src="http://rebound.example/g.png">
            <img src="//user:secret@public.example:{port}/h.png"> <img src="/redirect.png">
            <img src="http://public.example:22/i.png"> <img src="https://0x0a000001/j.png">"""
        return {
            "/": html(body),
            "/redirect.png": redirect(f"http://inside.example:{port}/a.png"),
            "/a.png": png(1),
            "/f.png": png(2),
        }

    async with serving(make) as site:
        names = {
            "public.example": ["127.0.0.1"],
            "inside.example": ["10.0.0.1"],
            "metadata.example": ["169.254.169.254"],
            "rebound.example": ["127.0.0.1", "192.168.0.1"],
        }
        guard = replace(site.guard(), resolver=Names(names))
        told = replace(options(site, images="any"), guard=guard)
        ended = await crawl(tmp_path, told)

        assert sorted(site.times()) == ["/", "/f.png", "/redirect.png", "/robots.txt"]
    assert [line["sha256"] for line in ended.manifest()] == [sha256(picture(2)).hexdigest()]
    reasons = {error["url"].rpartition("/")[2]: error["reason"] for error in ended.errors()}
    assert reasons.pop("h.png") == "URL_INVALID"
    assert len(reasons) == 9
    assert set(reasons.values()) == {"URL_FORBIDDEN"}
