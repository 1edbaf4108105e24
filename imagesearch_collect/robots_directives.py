"""What a page or an image asks of robots: X-Robots-Tag and <meta name="robots">."""

from collections.abc import Iterable
from dataclasses import dataclass

AGENT = "imagesearch"
"""The name that robots.txt, X-Robots-Tag and meta elements may address this robot by."""

_WITH_VALUES = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")


@dataclass(frozen=True)
class Directives:
    """What is allowed.

    Attributes:
        images: Its images may be kept, or it may be kept if it is an image.
        links: Its links may be followed.
    """

    images: bool = True
    links: bool = True

    def __and__(self, other: "Directives") -> "Directives":
        return Directives(self.images and other.images, self.links and other.links)


def from_headers(values: Iterable[str]) -> Directives:
    """Reads X-Robots-Tag headers, each such as "noindex, nofollow" or "imagesearch: none"."""
    said = Directives()
    for value in values:
        agent, colon, rest = value.partition(":")
        agent = agent.strip().lower()
        if not colon or "," in agent or agent in _WITH_VALUES:
            said &= from_content(value)
        elif agent in (AGENT, "*"):
            said &= from_content(rest)
    return said


def from_content(content: str) -> Directives:
    """Reads directives such as "noindex, nofollow"."""
    words = {word.strip().lower() for word in content.split(",")}
    none = "none" in words
    return Directives(
        images=not (none or "noindex" in words or "noimageindex" in words),
        links=not (none or "nofollow" in words),
    )
