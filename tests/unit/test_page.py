"""imagesearch_collect: what is read from a page."""

import re

import pytest

from imagesearch_collect.bounds import Bounds, site_of
from imagesearch_collect.page import read_page
from imagesearch_collect.robots_directives import Directives, from_headers
from imagesearch_collect.srcset import Candidate, candidates, largest

HERE = "http://x.org/a/page"


def images(body: str, head: str = "") -> list[str]:
    html = f"<html><head>{head}</head><body>{body}</body></html>"
    return [found.url for found in read_page(html, HERE).images]


@pytest.mark.parametrize(
    ("body", "url"),
    [
        ('<img src="b.png">', "http://x.org/a/b.png"),
        ('<img src="/b.png#top">', "http://x.org/b.png"),
        ('<img src="//y.org/b.png">', "http://y.org/b.png"),
        ('<img src=" b c.png\n">', "http://x.org/a/b%20c.png"),
        ('<img src="c\\b.png">', "http://x.org/a/c/b.png"),
        ('<img src="s.png" srcset="m.png 1x, l.png 2x">', "http://x.org/a/l.png"),
        ('<img src="s.png" srcset="m.png 480w, l.png 1600w">', "http://x.org/a/l.png"),
        ('<img src="data:image/gif;base64,R0" data-src="b.png">', "http://x.org/a/b.png"),
        ('<img src="wait.gif" data-src="b.png">', "http://x.org/a/b.png"),
        ('<img src="wait.gif" data-lazy-src="b.png">', "http://x.org/a/b.png"),
        ('<img src="wait.gif" data-srcset="s.png 1x, b.png 3x">', "http://x.org/a/b.png"),
        ('<noscript><img src="b.png"></noscript>', "http://x.org/a/b.png"),
        (
            '<picture><source srcset="a.webp 800w, b.webp 1600w" type="image/webp">'
            '<img src="c.jpg"></picture>',
            "http://x.org/a/b.webp",
        ),
        (
            '<picture><source srcset="a.jxl 9000w" type="image/jxl"><img src="c.jpg"></picture>',
            "http://x.org/a/c.jpg",
        ),
        ('<a href="b.JPG?x=1">large</a>', "http://x.org/a/b.JPG?x=1"),
        ('<video poster="b.jpg"></video>', "http://x.org/a/b.jpg"),
        ("<div style=\"color:red; background: url('b.png')\">", "http://x.org/a/b.png"),
        ('<div style="background-image:url(b.png)">', "http://x.org/a/b.png"),
    ],
)
def test_an_image_of_a_page(body: str, url: str) -> None:
    assert images(body) == [url]


@pytest.mark.parametrize(
    "head",
    [
        '<meta property="og:image" content="http://x.org/b.png">',
        '<meta property="og:image:secure_url" content="http://x.org/b.png">',
        '<meta name="twitter:image" content="http://x.org/b.png">',
        '<link rel="image_src" href="/b.png">',
    ],
)
def test_an_image_of_the_head(head: str) -> None:
    assert images("", head) == ["http://x.org/b.png"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        '<img alt="no source">',
        '<img src="data:image/png;base64,AAAA">',
        '<img src="file:///etc/passwd">',
        '<img src="ftp://x.org/a.png">',
        '<img src="http://[bad/a.png">',
        '<a href="mailto:a@x.org">',
        '<a href="javascript:go()">',
    ],
)
def test_what_is_no_image(body: str) -> None:
    assert images(body) == []


def test_what_is_said_of_an_image() -> None:
    page = read_page(
        "<head><title> A  title </title></head><figure><img src=a.png alt=' An\n image'>"
        "<figcaption>Its <b>caption</b></figcaption></figure><img src=a.png alt='Other'>"
        '<meta property="og:image" content="og.png"><meta property="og:image:alt" content="OG">',
        HERE,
    )

    assert page.title == "A title"
    assert [(each.alt, each.caption) for each in page.images] == [
        ("An image", "Its caption"),
        ("OG", ""),
    ]


def test_links_are_followed_unless_they_ask_not_to_be() -> None:
    page = read_page(
        '<base href="http://x.org/b/"><a href="1">1</a><a href="1#end">1</a><a href="../2">2</a>'
        '<a rel="external nofollow" href="3">3</a><area href="4"><a href="ftp://x.org/">5</a>'
        '<link rel="next" href="5">',
        HERE,
    )

    assert page.links == [f"http://x.org/{path}" for path in ("b/1", "2", "b/4", "b/5")]


@pytest.mark.parametrize(
    "body",
    [
        '<base href="http://["><img src="b.png">',
        '<base href="javascript:x"><img src="b.png">',
        '<img src="http://[/"><a href="http://]/"><img src="b.png">',
        '<div style="background:url("></div><img src="b.png" srcset="http://[ 2x">',
        "<figure>" * 2_000 + '<img src="b.png">',
        '\x00<img src="b.png">\ufffe',
    ],
)
def test_pages_that_mean_harm(body: str) -> None:
    assert "http://x.org/a/b.png" in images(body)


@pytest.mark.parametrize(
    ("srcset", "best"),
    [
        ("", None),
        (" , ", None),
        ("a.jpg", "a.jpg"),
        ("a.jpg 100w,b.jpg 300w", "b.jpg"),
        ("a,b.jpg 2x, c.jpg", "a,b.jpg"),
        ("a.jpg, b.jpg 1.5x", "b.jpg"),
        ("a.jpg 100h 50w, b.jpg 40w", "a.jpg"),
        ("a.jpg huge, b.jpg wx, c.jpg 2x", "c.jpg"),
        ("," * 200_000 + "a.jpg", "a.jpg"),
        ("a" + "," * 200_000, "a"),
    ],
)
def test_the_largest_candidate(srcset: str, best: str | None) -> None:
    found = largest(candidates(srcset))

    assert (found.url if found else None) == best


def test_a_width_is_read() -> None:
    assert candidates("a.jpg 640w") == [Candidate("a.jpg", width=640)]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([], Directives()),
        (["all"], Directives()),
        (["noindex"], Directives(images=False)),
        (["noimageindex"], Directives(images=False)),
        (["nofollow"], Directives(links=False)),
        (["NONE"], Directives(images=False, links=False)),
        (["nofollow, noindex"], Directives(images=False, links=False)),
        (["otherbot: noindex"], Directives()),
        (["imagesearch: noindex"], Directives(images=False)),
        (["otherbot: none", "nofollow"], Directives(links=False)),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], Directives()),
        (["max-image-preview:large"], Directives()),
    ],
)
def test_robots_headers(headers: list[str], said: Directives) -> None:
    assert from_headers(headers) == said


@pytest.mark.parametrize("name", ["robots", "ROBOTS", "imagesearch"])
def test_robots_elements(name: str) -> None:
    page = read_page(f'<meta name="{name}" content="noimageindex, nofollow">', HERE)

    assert page.directives == Directives(images=False, links=False)


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("www.example.co.uk", "example.co.uk"),
        ("a.b.example.org", "example.org"),
        ("example.org.", "example.org"),
        ("alice.github.io", "alice.github.io"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
    ],
)
def test_a_site(host: str, site: str) -> None:
    assert site_of(host) == site


@pytest.mark.parametrize(
    ("url", "page", "image"),
    [
        ("http://www.example.co.uk/a", True, True),
        ("https://img.example.co.uk/a", True, True),
        ("http://other.co.uk/a", False, False),
        ("http://example.co.uk.evil.org/a", False, False),
        ("http://cdn.pictures.net/a", True, True),
        ("http://mypictures.net/a", False, False),
        ("http://example.co.uk/a.zip", False, True),
        ("http://example.co.uk/private/a", False, False),
    ],
)
def test_bounds(url: str, page: bool, image: bool) -> None:
    bounds = Bounds(
        ["http://www.example.co.uk/"], domains=["pictures.net"], exclude=[re.compile("/private/")]
    )

    assert (bounds.page(url), bounds.image(url)) == (page, image)


def test_bounds_can_be_narrower_and_wider() -> None:
    bounds = Bounds(["http://www.example.org/"], pages="host", images="any")

    assert not bounds.page("http://img.example.org/a")
    assert bounds.image("http://elsewhere.net/a.png")
