"""A manifest, such as `imagesearch collect` writes: a JSON object a line, files beside it."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from imagesearch_ingest.formats import too_large
from imagesearch_ingest.items import (
    Facts,
    Item,
    Listed,
    SourceError,
    Unusable,
    text_of,
)
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.paths import read_within, stays_within, why_not

FILE = "manifest.jsonl"
MAX_LINE_BYTES = 1024 * 1024

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Manifest:
    """The images that a manifest names, each in `path` within the manifest's folder.

    An image that is named by several lines, with other addresses or pages, is an item for each.

    Args:
        file: The manifest.
        mapping: How its lines are read.
    """

    shards = False

    def __init__(self, file: Path, mapping: Mapping) -> None:
        self._file = file.resolve()
        self._root = self._file.parent
        self.name = text_of(self._file.as_uri())
        self._mapping = mapping

    def items(self, known: Callable[[str, str], bool]) -> Iterator[Listed]:
        """Lists the lines. A last one that was cut short is passed over."""
        try:
            with self._file.open("rb") as lines:
                number = 0
                while line := lines.readline(MAX_LINE_BYTES + 1):
                    number += 1
                    whole = line.endswith(b"\n")
                    if len(line) > MAX_LINE_BYTES and not whole:
                        reason = f"the line is longer than {MAX_LINE_BYTES} bytes"
                        yield Unusable(f"line {number}", _digest(line), reason)
                        while line and not line.endswith(b"\n"):
                            line = lines.readline(MAX_LINE_BYTES)
                    elif (listed := self._listed(number, line, whole)) is not None:
                        yield listed
        except OSError as error:
            raise SourceError(f"{self._file} cannot be read: {error.strerror}") from error

    def count(self) -> int | None:
        """Counts lines."""
        with self._file.open("rb") as file:
            return sum(part.count(b"\n") for part in iter(partial(file.read, 1 << 20), b""))

    def has(self, shard: str) -> bool:
        """There are no shards."""
        return False

    def _listed(self, number: int, line: bytes, whole: bool) -> Listed | None:
        if not line.strip():
            return None
        try:
            record: Any = json.loads(line)
        except (ValueError, RecursionError):
            record = None
            if not whole:
                return None
        path = record.get("path") if isinstance(record, dict) else None
        if not isinstance(path, str):
            return Unusable(f"line {number}", _digest(line), "is no JSON object with a `path`")
        key = _key(path, record)
        stamp = _digest(line)
        if why := why_not(path):
            return Unusable(key, stamp, why)
        file = self._root / path
        try:
            if not stays_within(self._root, file):
                return Unusable(key, stamp, "is a link that leads out of the folder")
            found = file.stat()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Unusable(key, stamp, f"cannot be read: {reason}")
        stamp = f"{found.st_mtime_ns}:{found.st_size}:{stamp}"
        if why := too_large(found.st_size):
            return Unusable(key, stamp, why)
        sha256 = record.get("sha256")
        if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
            return Unusable(key, stamp, "`sha256` is not 64 lower-case hex digits")
        return Item(
            key,
            stamp,
            found.st_size,
            partial(read_within, self._root, file),
            partial(self._facts, record),
            sha256 or "",
        )

    def _facts(self, record: dict[str, Any]) -> Facts:
        facts = self._mapping.facts(record)
        title = record.get("page_title")
        said = {"page_title": title} if isinstance(title, str) and title else {}
        named = Facts(image_name=_last_part(facts.url), attributes=said)
        return facts.over(named)


def _key(path: str, record: dict[str, Any]) -> str:
    place = [str(record.get(name) or "") for name in ("url", "page_url")]
    if any(place):
        path += f"#{_digest(chr(0).join(place).encode(errors='replace'))}"
    return text_of(path)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _last_part(url: str) -> str:
    try:
        return unquote(PurePosixPath(urlsplit(url).path).name, errors="replace")
    except ValueError:
        return ""
