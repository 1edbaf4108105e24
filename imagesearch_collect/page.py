"""An HTML page: its images with what is said of them, and its links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from parsel import Selector

from imagesearch_collect.robots_directives import AGENT, Directives, from_content
from imagesearch_collect.srcset import Candidate, candidates, largest

MAX_TEXT = 2_000
"""Longest title, alternative text or caption that is kept, in characters."""

_LAZY_SETS = ("data-srcset", "data-lazy-srcset", "data-original-set")
_LAZY = ("data-src", "data-lazy-src", "data-lazy", "data-original", "data-image", "data-url")
_READABLE_TYPES = re.compile(r"image/(jpeg|jpg|pjpeg|png|x-png|webp|gif|bmp|tiff|avif|heic|heif)")
_META_IMAGES = (
    *("og:image", "og:image:url", "og:image:secure_url"),
    *("twitter:image", "twitter:image:src"),
)
_IMAGE_NAME = re.compile(
    r"\.(jpe?g|jpe|jfif|png|webp|gif|bmp|tiff?|avif|heic|heif)$", re.IGNORECASE
)
_CSS_URL = re.compile(r"""url\(\s*(?:"([^"]+)"|'([^']+)'|([^"')\s]+))\s*\)""", re.IGNORECASE)


@dataclass
class Found:
    """An image of a page: its URL, without fragment, and what is said of it."""

    url: str
    alt: str = ""
    caption: str = ""


@dataclass
class Page:
    """What a page holds.

    Attributes:
        title: Of the page.
        images: Each URL once, in the order of the page.
        links: Pages it links to and lets be followed, each once, in order.
        directives: What it asks of robots.
    """

    title: str = ""
    images: list[Found] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    directives: Directives = field(default_factory=Directives)


def read_page(html: str, url: str) -> Page:
    """Reads a page.

    Args:
        html: The page.
        url: Where it is, after redirects.
    """
    root = Selector(text=html, type="html")
    base = _absolute(url, root.xpath("string(//base[@href][1]/@href)").get() or "") or url
    title = _text(root.xpath("string(//head/title)").get() or "")
    page = Page(title, directives=_directives(root))
    images: dict[str, Found] = {}
    for source, alt, caption in _images(root):
        target = _absolute(base, source)
        if target is None:
            continue
        found = images.setdefault(target, Found(target))
        found.alt = found.alt or _text(alt)
        found.caption = found.caption or _text(caption)
    links: dict[str, None] = {}
    for anchor in root.xpath("//a[@href] | //area[@href]"):
        target = _absolute(base, anchor.attrib["href"])
        if target is None:
            continue
        if _IMAGE_NAME.search(urlsplit(target).path):
            found = images.setdefault(target, Found(target))
            found.alt = found.alt or _text(anchor.xpath("string(.//img/@alt)").get() or "")
            found.caption = found.caption or _caption(anchor)
        elif "nofollow" not in anchor.attrib.get("rel", "").lower().split():
            links.setdefault(target)
    for frame in root.xpath("//iframe/@src | //link[@rel='next']/@href"):
        if (target := _absolute(base, frame.get())) is not None:
            links.setdefault(target)
    page.images = list(images.values())
    page.links = list(links)
    return page


def _images(root: Selector) -> Iterator[tuple[str, str, str]]:
    """Sources of images as they stand in the page, each with alternative text and caption."""
    for image in root.xpath("//img"):
        if source := _best_source(image):
            yield source, image.attrib.get("alt", ""), _caption(image)
    for video in root.xpath("//video[@poster]"):
        yield video.attrib["poster"], video.attrib.get("title", ""), _caption(video)
    for name in _META_IMAGES:
        for meta in root.xpath("//meta[(@property=$name or @name=$name) and @content]", name=name):
            alt = root.xpath("string(//meta[@property='og:image:alt']/@content)").get() or ""
            yield meta.attrib["content"], alt, ""
    for link in root.xpath("//link[@rel='image_src']/@href"):
        yield link.get(), "", ""
    for styled in root.xpath("//*[contains(@style, 'url(')]"):
        label = styled.attrib.get("aria-label") or styled.attrib.get("title") or ""
        for groups in _CSS_URL.findall(styled.attrib["style"]):
            yield next(filter(None, groups)), label, _caption(styled)


def _best_source(image: Selector) -> str | None:
    """The largest of all forms that an <img>, and the <picture> around it, offer.

    Attributes of scripts that load late come before `src`, which holds a placeholder then.
    """
    found: list[Candidate] = []
    for name in ("srcset", *_LAZY_SETS):
        found += candidates(image.attrib.get(name, ""))
    found += [Candidate(image.attrib[name]) for name in (*_LAZY, "src") if image.attrib.get(name)]
    for source in image.xpath("./ancestor::picture[1]//source"):
        kind = source.attrib.get("type", "").lower()
        if kind and not _READABLE_TYPES.match(kind):
            continue
        for name in ("srcset", *_LAZY_SETS):
            found += candidates(source.attrib.get(name, ""))
    # Placeholders are data: URLs mostly; what is no address at all is no candidate either.
    best = largest([each for each in found if _absolute("http://base/", each.url)])
    return best.url if best is not None else None


def _caption(element: Selector) -> str:
    return element.xpath("string(./ancestor::figure[1]//figcaption)").get() or ""


def _directives(root: Selector) -> Directives:
    said = Directives()
    for meta in root.xpath("//meta[@name and @content]"):
        if meta.attrib["name"].strip().lower() in ("robots", AGENT):
            said &= from_content(meta.attrib["content"])
    return said


def _absolute(base: str, reference: str) -> str | None:
    """The http or https URL that a reference leads to, without fragment; None: it is none."""
    try:
        # Browsers take backslashes and line breaks in references as these; so do we, before
        # anything is checked.
        cleaned = re.sub(r"[\t\r\n]", "", reference.strip()).replace("\\", "/")
        joined = urljoin(base, cleaned.replace(" ", "%20"))
        parts = urlsplit(joined)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    return parts._replace(fragment="").geturl()


def _text(text: str) -> str:
    return " ".join(text.split())[:MAX_TEXT]
