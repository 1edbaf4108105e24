"""A folder of any file system that fsspec knows: S3, GCS, WebDAV and others."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import fsspec

from imagesearch_ingest import sidecars
from imagesearch_ingest.formats import MAX_IMAGE_BYTES, is_image, too_large
from imagesearch_ingest.ignoring import Ignores
from imagesearch_ingest.items import (
    Facts,
    Item,
    Listed,
    RefusedError,
    SourceError,
    Unlisted,
    UnreadableError,
    Unusable,
    text_of,
)
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.shards import stamp_of


class RemoteFolder:
    """Images below a URL; keys are their paths below it.

    Args:
        url: As fsspec names it.
        ignores: What is passed over.
        mapping: How JSON sidecars are read.

    Raises:
        SourceError: There is no such file system.
    """

    shards = False

    def __init__(self, url: str, ignores: Ignores, mapping: Mapping) -> None:
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise SourceError(f"{url}: {error}") from error
        self._root = str(root).rstrip("/")
        self.name = text_of(self._files.unstrip_protocol(self._root))
        self._ignores = ignores
        self._mapping = mapping

    def items(self, known: Callable[[str, str], bool]) -> Iterator[Listed]:
        """Lists all images."""
        failed: list[tuple[str, OSError]] = []
        seen = False

        def note(error: OSError) -> None:
            failed.append((str(getattr(error, "filename", "") or ""), error))

        try:
            walk = self._files.walk(self._root, detail=True, on_error=note)
            for folder, folders, files in walk:
                seen = True
                below = f"{folder}/"[len(self._root) + 1 :]
                for name in list(folders):
                    if name.startswith(".") or self._ignores.has(f"{below}{name}/"):
                        del folders[name]
                for name in sorted(files):
                    path = below + name
                    if name[0] != "." and is_image(name) and not self._ignores.has(path):
                        yield self._item(path, files, name)
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.name} cannot be listed: {error}") from error
        if not seen:
            raise SourceError(f"{self.name} cannot be listed, or is empty")
        for path, why in failed:
            yield Unlisted("", f"{path} cannot be listed: {why}")

    def count(self) -> int | None:
        """Not known without listing all."""
        return None

    def has(self, shard: str) -> bool:
        """There are no shards."""
        return False

    def _item(self, path: str, files: dict[str, Any], name: str) -> Listed:
        info = files[name]
        key = text_of(path)
        stamp = stamp_of(info)
        size = int(info.get("size") or 0)
        if why := too_large(size):
            return Unusable(key, stamp, why)
        folder = path[: len(path) - len(name)]
        notes = [each for each in sidecars.names(name) if each in files]
        stamp += "".join(f":{stamp_of(files[note])}" for note in notes)
        facts = partial(self._facts, key, [folder + note for note in notes])
        return Item(key, stamp, size, partial(self._read, path, MAX_IMAGE_BYTES), facts)

    def _read(self, path: str, most: int) -> bytes:
        try:
            content: bytes = self._files.cat_file(f"{self._root}/{path}", start=0, end=most + 1)
        except FileNotFoundError as error:
            raise UnreadableError("cannot be read: it is not there any more") from error
        except (OSError, ValueError) as error:
            raise UnreadableError(f"cannot be read: {error}") from error
        if why := too_large(len(content)):
            raise RefusedError(why)
        return content

    def _facts(self, key: str, notes: list[str]) -> Facts:
        facts = Facts()
        for note in notes:
            try:
                content = self._read(note, sidecars.MAX_BYTES)
            except RefusedError:
                continue
            facts = facts.over(sidecars.read(note, content, self._mapping))
        return Facts(relative_path=key).over(facts)
