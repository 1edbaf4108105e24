"""The pages that a crawl has read, so that it can go on after it was stopped or killed."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imagesearch_collect.json_lines import JsonLines
from imagesearch_collect.manifest import digest
from imagesearch_collect.page import Found

PAGES = "pages.jsonl"


class PageLog:
    """Pages with what they hold. Use it as a context manager.

    It lasts as long as its crawl: `finish` removes it, and the next crawl reads all pages anew.

    Args:
        folder: The collection's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / PAGES
        self._lines = JsonLines(self._path)
        self._read: set[int] = set()
        for _, line in self._lines.lines():
            self._read |= {digest(str(url)) for url in line.get("urls", [])}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.__exit__(kind, error, trace)

    def __contains__(self, url: str) -> bool:
        return digest(url) in self._read

    def __len__(self) -> int:
        return len(self._read)

    def add(
        self, urls: list[str], depth: int, title: str, images: list[Found], links: list[str]
    ) -> None:
        """Notes a page.

        Args:
            urls: What it was asked for by; last, where it is.
            depth: Links between a seed and it.
            title: Of the page.
            images: That are to be collected from it.
            links: That are to be followed from it.
        """
        self._read |= {digest(url) for url in urls}
        found = [asdict(image) for image in images]
        line = {"urls": urls, "depth": depth, "title": title, "images": found, "links": links}
        self._lines.append(line)

    def pages(self) -> Iterator[dict[str, Any]]:
        """The pages noted before, with the arguments of `add` as keys."""
        for _, line in self._lines.lines():
            if {"urls", "depth", "title", "images", "links"} <= line.keys():
                yield line

    def finish(self) -> None:
        """Says that the crawl is complete."""
        self._path.unlink(missing_ok=True)
