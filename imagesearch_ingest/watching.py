"""What changes in a folder, as parts of it to look at again."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from watchfiles import Change, awatch

from imagesearch_ingest.pruning import Scope

_DEBOUNCE_MS = 300
_MOST_PARTS = 10_000
_RESCAN_S = 3_600.0


class Watcher:
    """Gathers changes below a folder, until they are asked for.

    Changes that the system does not tell of (network drives, more than it can count) are found
    once an hour, when all is looked at again.

    Args:
        root: The folder, resolved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: set[str] = set()
        self._shallow: set[str] = set()
        self._changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._scanned = time.monotonic()
        self._pump = asyncio.create_task(self._gather())

    async def next(self, timeout_s: float | None) -> Scope | None:
        """Waits for changes; None: it was stopped.

        Args:
            timeout_s: Longest to wait; then what was given to `again` counts as changed.
        """
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._changed, self._stopped)]
        until_rescan = max(0.1, self._scanned + _RESCAN_S - time.monotonic())
        limit = until_rescan if timeout_s is None else min(timeout_s, until_rescan)
        done, _ = await asyncio.wait(
            [*waiting, self._pump], timeout=limit, return_when=asyncio.FIRST_COMPLETED
        )
        for each in waiting:
            each.cancel()
        if self._stopped.is_set():
            return None
        if self._pump in done:
            self._pump.result()
        self._changed.clear()
        if time.monotonic() - self._scanned > _RESCAN_S:
            self._folders.add("")
        if "" in self._folders:
            self._scanned = time.monotonic()
            self._shallow.clear()
            self._folders = {""}
        scope = Scope(frozenset(self._folders), frozenset(self._shallow))
        self._folders, self._shallow = set(), set()
        return scope

    def again(self, scope: Scope) -> None:
        """Gives back what has to be looked at once more, because it was still being written."""
        self._folders |= scope.folders
        self._shallow |= scope.shallow

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()

    async def close(self) -> None:
        """Stops listening."""
        self.stop()
        await asyncio.wait([self._pump])

    async def _gather(self) -> None:
        changes = awatch(
            self._root,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            stop_event=self._stopped,
            ignore_permission_denied=True,
        )
        async for several in changes:
            self._note(several)
            self._changed.set()

    def _note(self, changes: Iterable[tuple[Change, str]]) -> None:
        for change, name in changes:
            path = Path(name)
            if not path.is_relative_to(self._root):
                continue
            within = path.relative_to(self._root).as_posix()
            if any(part.startswith(".") for part in within.split("/") if part != "."):
                continue
            self._shallow.add("".join(f"{part}/" for part in within.split("/")[:-1]))
            if change is Change.deleted or path.is_dir():
                self._folders.add(f"{within}/")
        if len(self._folders) + len(self._shallow) > _MOST_PARTS:
            self._folders.add("")
