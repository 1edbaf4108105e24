"""How far a crawl goes from where it began."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import urlsplit

import tldextract

Scope = Literal["site", "host", "any"]
"""The registrable domain (example.co.uk with all its hosts), the very host, or anything."""

# The list of public suffixes that comes with the package: nothing is downloaded.
_suffixes = tldextract.TLDExtract(
    suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True
)

_NO_PAGE = re.compile(
    r"\.(7z|apk|avi|bin|bz2|css|csv|dmg|docx?|eot|epub|exe|flac|gz|ico|iso|js|json|m4[av]|mkv|mov|"
    r"mp3|mp4|mpe?g|msi|od[pst]|ogg|otf|pdf|pptx?|rar|rtf|svgz?|tar|tgz|ttf|wav|webm|wmv|woff2?|"
    r"xlsx?|xz|zip)$",
    re.IGNORECASE,
)


def site_of(host: str) -> str:
    """The registrable domain of a host; the host itself if it has none, as addresses have not."""
    host = host.lower().removesuffix(".")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _suffixes(host).top_domain_under_public_suffix or host
    return host


class Bounds:
    """Which pages a crawl reads and which images it takes.

    Args:
        seeds: Where it begins.
        pages: How far pages may be from a seed.
        images: How far images may be from a seed.
        domains: Further domains, with all hosts below them, whose pages and images are taken.
        exclude: Pages and images whose URL one of these expressions is found in are left out.
    """

    def __init__(
        self,
        seeds: Iterable[str],
        *,
        pages: Scope = "site",
        images: Scope = "site",
        domains: Sequence[str] = (),
        exclude: Sequence[re.Pattern[str]] = (),
    ) -> None:
        self._hosts = {_host(seed) for seed in seeds}
        self._sites = {site_of(host) for host in self._hosts}
        self._pages = pages
        self._images = images
        self._domains = tuple(domain.lower().strip(".") for domain in domains)
        self._exclude = exclude

    def page(self, url: str) -> bool:
        """Whether a page is read. Files that are surely no pages are not."""
        return self._within(url, self._pages) and not _NO_PAGE.search(urlsplit(url).path)

    def image(self, url: str) -> bool:
        """Whether an image is taken."""
        return self._within(url, self._images)

    def _within(self, url: str, scope: Scope) -> bool:
        if any(pattern.search(url) for pattern in self._exclude):
            return False
        host = _host(url)
        if scope == "any" or host in self._hosts:
            return True
        if any(host == domain or host.endswith(f".{domain}") for domain in self._domains):
            return True
        return scope == "site" and site_of(host) in self._sites


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return ""
