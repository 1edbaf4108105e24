"""A collection being filled: what is known is not fetched, what is fetched is kept once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from imagesearch_collect.image_rules import ImageRules, Judged, judge
from imagesearch_collect.image_store import ImageStore
from imagesearch_collect.manifest import Fetched, Manifest, Place, digest, now
from imagesearch_collect.outcomes import Reason, RefusedError, Tally
from service_kit.workers import Workers

Refusal = Callable[[str, Place, Reason, str], None]
"""Told of each URL that gave no image: the URL, its place, why, and why in words."""


@dataclass(frozen=True)
class Answer:
    """What a server sent for the URL of an image.

    Attributes:
        data: The body, unpacked.
        final_url: What answered, after redirects.
        headers: Of the answer; names in any case.
    """

    data: bytes
    final_url: str
    headers: Mapping[str, str]


class Collection:
    """A folder that images are collected into. Use it as a context manager.

    An image is asked for with `wants`, for every place it is met at; where that says so it is
    fetched once, and ends with `keep`, `unchanged` or `refuse`. All places that it was met at
    meanwhile get their line then.

    Args:
        folder: The collection's; made where it is missing.
        rules: Which images are kept.
        tally: What has been done is counted here.
        retry_failed: Try again what an earlier run gave up for good.
        refresh: Ask again for what is there, in case it has changed.
        dry_run: Write nothing; `has` tells what is there, refusals are only counted and told.
        refused: Told of each URL that gave no image.

    Raises:
        InUseError: Another process collects into it.
    """

    def __init__(
        self,
        folder: Path,
        rules: ImageRules,
        tally: Tally,
        *,
        retry_failed: bool = False,
        refresh: bool = False,
        dry_run: bool = False,
        refused: Refusal | None = None,
    ) -> None:
        self.rules = rules
        self.tally = tally
        self._manifest = Manifest(folder)
        self._store = ImageStore(folder)
        if not dry_run:
            self._store.remove_unfinished()
        self._retry_failed = retry_failed
        self._refresh = refresh
        self._dry_run = dry_run
        self._refused = refused
        self._waiting: dict[str, list[Place]] = {}
        self._finished: set[int] = set()
        self._workers = Workers("image", 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manifest.__exit__(kind, error, trace)

    def wants(self, url: str, place: Place) -> bool:
        """Whether the image of this URL must be fetched now.

        If not, the place has got its line, or gets it when the fetch that is under way ends.
        """
        if url in self._waiting:
            waiting = self._waiting[url]
            if all(each.page_url != place.page_url for each in waiting):
                waiting.append(place)
            return False
        known = self._known(url)
        if known is not None and (not self._refresh or digest(url) in self._finished):
            self._note_place(known, place)
            return False
        if self._gave_up(url):
            return False
        self.tally.found += 1
        self._waiting[url] = [place]
        return True

    def has(self, url: str) -> bool:
        """Whether the image of this URL is there, or was given up for good."""
        return self._known(url) is not None or self._gave_up(url)

    def conditions(self, url: str) -> dict[str, str]:
        """Headers with which a server says 304 where the image is the one that is there."""
        known = self._known(url)
        if known is None:
            return {}
        headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
        return {name: value for name, value in headers.items() if value}

    async def keep(self, url: str, answer: Answer) -> None:
        """Stores an image that was fetched, unless it is not wanted; adds its lines."""
        try:
            path, sha256, new, judged = await self._workers.run(self._judge_and_store, answer.data)
        except RefusedError as error:
            self.refuse(url, error.reason, str(error))
            return
        headers = {name.lower(): value for name, value in answer.headers.items()}
        fetched = Fetched(
            path=path,
            sha256=sha256,
            url=url,
            final_url=answer.final_url if answer.final_url != url else "",
            fetched_at=now(),
            width=judged.width,
            height=judged.height,
            format=judged.format,
            size_bytes=len(answer.data),
            content_type=headers.get("content-type", ""),
            etag=headers.get("etag", ""),
            last_modified=headers.get("last-modified", ""),
        )
        self.tally.bytes += len(answer.data)
        if new:
            self.tally.stored += 1
        else:
            self.tally.duplicates += 1
        before = self._known(url)
        changed = before is None or before.sha256 != sha256
        for place in self._end(url):
            if changed or not self._manifest.has_place(url, place.page_url):
                self._manifest.add(fetched, place)

    def unchanged(self, url: str) -> None:
        """Ends a fetch that was answered with 304."""
        known = self._known(url)
        self.tally.known += 1
        for place in self._end(url):
            if known is not None and not self._manifest.has_place(url, place.page_url):
                self._manifest.add(known, place)

    def refuse(self, url: str, reason: Reason, what: str) -> None:
        """Ends a fetch that gave no image."""
        self.tally.refused[reason] += 1
        places = self._end(url) or [Place()]
        for place in places:
            if not self._dry_run:
                self._manifest.add_error(url, place, reason, what)
        if self._refused is not None:
            self._refused(url, places[0], reason, what)

    def refuse_unasked(self, url: str, place: Place, reason: Reason, what: str) -> None:
        """Notes that a URL was not even asked for. Does so once."""
        if digest(url) in self._finished or url in self._waiting or self._gave_up(url):
            return
        self.tally.found += 1
        self._waiting[url] = [place]
        self.refuse(url, reason, what)

    def refuse_page(self, url: str, reason: Reason, what: str) -> None:
        """Notes that a page could not be read."""
        self.tally.pages_refused[reason] += 1
        if not self._dry_run:
            self._manifest.add_page_error(url, reason, what)
        if self._refused is not None:
            self._refused(url, Place(), reason, what)

    def drop(self, url: str) -> None:
        """Forgets a fetch that was broken off; a later run begins it anew."""
        if self._waiting.pop(url, None) is not None:
            self.tally.found -= 1

    def _known(self, url: str) -> Fetched | None:
        known = self._manifest.fetched(url)
        return known if known and self._store.holds(known.path, known.size_bytes) else None

    def _gave_up(self, url: str) -> bool:
        """Whether this run has failed with the URL, or an earlier one for good."""
        if digest(url) in self._finished:
            return True
        return not self._retry_failed and self._manifest.failed_for_good(url)

    def _note_place(self, known: Fetched, place: Place) -> None:
        if digest(known.url) not in self._finished:
            self._finished.add(digest(known.url))
            self.tally.found += 1
            self.tally.known += 1
        if not self._manifest.has_place(known.url, place.page_url):
            self._manifest.add(known, place)

    def _end(self, url: str) -> list[Place]:
        self._finished.add(digest(url))
        return self._waiting.pop(url, [])

    def _judge_and_store(self, data: bytes) -> tuple[str, str, bool, Judged]:
        judged = judge(data, self.rules)
        return *self._store.put(data, judged.format), judged
