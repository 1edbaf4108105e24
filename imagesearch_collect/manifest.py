"""The manifest of a collection: which image was met where.

A collection is a folder:

    manifest.jsonl                what was collected, a line for each place an image was met at
    errors.jsonl                  what was not, with the reason
    images/ab/cd/<sha256>.<ext>   the originals, each once however often it was met

Lines are only ever added. `Record` names their fields; fields that nobody knows are left out.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imagesearch_collect.json_lines import JsonLines
from imagesearch_collect.outcomes import NOT_FOR_GOOD, Reason

MANIFEST = "manifest.jsonl"
ERRORS = "errors.jsonl"
PAGE = "page"


@dataclass(frozen=True)
class Place:
    """Where an image was met, and what is said of it there.

    Attributes:
        page_url: Page it is on; empty if it comes from a list that names none.
        page_title: Title of that page.
        alt: Its alternative text.
        caption: Its caption.
        tags: Labels that a list gives it.
        attributes: Further columns of a list.
    """

    page_url: str = ""
    page_title: str = ""
    alt: str = ""
    caption: str = ""
    tags: tuple[str, ...] = ()
    attributes: dict[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetched:
    """An image that is in the collection, and how it came there.

    Attributes:
        path: Of the file, relative to the collection, with forward slashes.
        sha256: Of its bytes, in hex.
        url: As it was asked for.
        final_url: What answered, after redirects; empty if it is the same.
        fetched_at: When, RFC 3339, UTC.
        width: In pixels, upright.
        height: In pixels, upright.
        format: Encoding, e.g. "JPEG".
        size_bytes: Of the file.
        content_type: As the server gave it.
        etag: As the server gave it.
        last_modified: As the server gave it.
    """

    path: str
    sha256: str
    url: str
    fetched_at: str
    width: int
    height: int
    format: str
    size_bytes: int
    content_type: str = ""
    final_url: str = ""
    etag: str = ""
    last_modified: str = ""


FETCHED = frozenset(Fetched.__dataclass_fields__)


def now() -> str:
    """The time as the manifest writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Manifest:
    """The manifest and the errors of a collection, known by URL. Use it as a context manager.

    Of each line 8 bytes of a digest and an offset are kept in memory, not its text.
    """

    def __init__(self, folder: Path) -> None:
        self._errors = JsonLines(folder / ERRORS)
        self._lines = JsonLines(folder / MANIFEST)
        self._by_url: dict[int, int] = {}
        self._places: set[int] = set()
        self._failed: dict[int, bool] = {}
        for offset, line in self._lines.lines():
            self._by_url[digest(str(line.get("url")))] = offset
            self._places.add(digest(str(line.get("url")), str(line.get("page_url", ""))))
        for _, line in self._errors.lines():
            if line.get("kind") != PAGE:
                self._failed[digest(str(line.get("url")))] = line.get("reason") not in NOT_FOR_GOOD

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.__exit__(kind, error, trace)
        self._errors.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._by_url)

    def fetched(self, url: str) -> Fetched | None:
        """What was last collected of a URL; None: nothing yet."""
        offset = self._by_url.get(digest(url))
        if offset is None:
            return None
        line = self._lines.read_at(offset)
        try:
            return Fetched(**{key: value for key, value in line.items() if key in FETCHED})
        except TypeError:
            return None  # a line of somebody else's making; the image is fetched again

    def has_place(self, url: str, page_url: str) -> bool:
        """Whether a line says already that the image of this URL is on this page."""
        return digest(url, page_url) in self._places

    def failed_for_good(self, url: str) -> bool:
        """Whether trying this URL again would be of no use, as far as the errors say."""
        return self._failed.get(digest(url), False)

    def add(self, fetched: Fetched, place: Place) -> None:
        """Adds a line: this image is at this place."""
        line = {**_said(fetched), **_said(place)}
        self._by_url[digest(fetched.url)] = self._lines.append(line)
        self._places.add(digest(fetched.url, place.page_url))

    def add_error(self, url: str, place: Place, reason: Reason, what: str) -> None:
        """Notes why there is no image of this URL."""
        where = {"page_url": place.page_url} if place.page_url else {}
        line = {"url": url, **where, "reason": reason.value, "message": what, "at": now()}
        self._errors.append(line)
        self._failed[digest(url)] = reason not in NOT_FOR_GOOD

    def add_page_error(self, url: str, reason: Reason, what: str) -> None:
        """Notes why a page could not be read."""
        line = {"url": url, "kind": PAGE, "reason": reason.value, "message": what, "at": now()}
        self._errors.append(line)

    def sync(self) -> None:
        """Waits until all lines are on the disk."""
        self._lines.sync()
        self._errors.sync()


def _said(value: Fetched | Place) -> dict[str, Any]:
    return {key: each for key, each in asdict(value).items() if each not in ("", (), {})}


def digest(*texts: str) -> int:
    """What stands for texts in memory: 8 bytes."""
    data = "\0".join(texts).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest())
