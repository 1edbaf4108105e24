"""What becomes of a URL, in words that do not change, and the count of it all."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Reason(StrEnum):
    """Why there is no image. Stable: it is what errors.jsonl and the CSV report say."""

    URL_INVALID = "URL_INVALID"
    URL_FORBIDDEN = "URL_FORBIDDEN"
    ROBOTS = "ROBOTS"
    NOINDEX = "NOINDEX"
    OFF_SITE = "OFF_SITE"
    STATUS = "STATUS"
    BUSY = "BUSY"
    TIMEOUT = "TIMEOUT"
    UNREACHABLE = "UNREACHABLE"
    REDIRECTS = "REDIRECTS"
    WRONG_TYPE = "WRONG_TYPE"
    FORMAT = "FORMAT"
    TOO_LARGE = "TOO_LARGE"
    TOO_SMALL = "TOO_SMALL"
    UNDECODABLE = "UNDECODABLE"
    BAD_ANSWER = "BAD_ANSWER"


BY_RULE = frozenset(
    {
        *(Reason.ROBOTS, Reason.NOINDEX, Reason.OFF_SITE, Reason.FORMAT),
        *(Reason.TOO_LARGE, Reason.TOO_SMALL),
    }
)
"""What was left out because it was to be; the rest failed."""

PASSING = frozenset({Reason.BUSY, Reason.TIMEOUT, Reason.UNREACHABLE})
"""What may go well a moment later."""

NOT_FOR_GOOD = PASSING | {Reason.OFF_SITE}
"""What a second run tries again."""


class RefusedError(Exception):
    """There is no image to be had of a URL.

    Args:
        reason: Why.
        what: The same in words.
        retry_after_s: Seconds after which the server wants to be asked again.
    """

    def __init__(self, reason: Reason, what: str, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.reason = reason
        self.retry_after_s = retry_after_s


@dataclass
class Tally:
    """What a run has done so far; whoever shows progress reads it.

    Attributes:
        pages: Pages read.
        stored: Images fetched whose bytes were new.
        duplicates: Images fetched whose bytes were there already, under another URL.
        known: Places and URLs that needed no fetching, since an earlier one had been.
        refused: How many gave no image, by reason.
        pages_refused: How many pages could not be read, by reason.
        bytes: Bytes of images fetched.
        found: URLs of images met: fetched, known, refused or still waiting.
    """

    pages: int = 0
    stored: int = 0
    duplicates: int = 0
    known: int = 0
    refused: Counter[Reason] = field(default_factory=Counter)
    pages_refused: Counter[Reason] = field(default_factory=Counter)
    bytes: int = 0
    found: int = 0

    @property
    def failed(self) -> int:
        """How many images and pages were not to be had although they should have been."""
        both = self.refused + self.pages_refused
        return sum(count for reason, count in both.items() if reason not in BY_RULE)

    @property
    def done(self) -> int:
        """URLs of images that are finished with."""
        return self.stored + self.duplicates + self.known + self.refused.total()
