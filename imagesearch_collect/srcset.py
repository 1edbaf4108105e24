"""The `srcset` attribute: which of its candidates is the largest."""

import re
from dataclasses import dataclass

# A URL runs to white space and may hold commas, but not begin or end with one (HTML standard).
_CANDIDATE = re.compile(r"[\s,]*+(?P<url>\S*[^\s,])(?P<comma>,*)(?:\s+(?P<descriptors>[^,(]*))?")


@dataclass(frozen=True)
class Candidate:
    """One of the forms of an image.

    Attributes:
        url: As it stands in the attribute.
        width: In pixels, if it is said; else 0.
        density: Pixels for each CSS pixel; 1 if nothing is said.
    """

    url: str
    width: int = 0
    density: float = 1.0


def candidates(srcset: str) -> list[Candidate]:
    """Reads a `srcset` attribute. What cannot be read is passed over."""
    found = []
    position = 0
    while match := _CANDIDATE.match(srcset, position):
        position = match.end()
        if match["comma"]:  # the URL has no descriptors
            position = match.end("comma")
            found.append(Candidate(match["url"]))
        elif candidate := _described(match["url"], (match["descriptors"] or "").split()):
            found.append(candidate)
    return found


def largest(found: list[Candidate]) -> Candidate | None:
    """The candidate with most pixels; of equals the first. A width says more than a density."""
    return max(found, key=lambda each: (each.width, each.density), default=None)


def _described(url: str, descriptors: list[str]) -> Candidate | None:
    width, density = 0, 1.0
    for descriptor in descriptors:
        number, unit = descriptor[:-1], descriptor[-1]
        try:
            if unit == "w":
                width = int(number)
            elif unit == "x":
                density = float(number)
        except ValueError:
            return None
    return Candidate(url, width, density)
