"""Which shards are done: listed to the end, and every item of them settled."""

import threading
from collections import Counter
from collections.abc import Iterator

from imagesearch_ingest.items import shard_of


class ShardLedger:
    """Counts items of shards that are under way. From any thread."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._ended: dict[str, str] = {}
        self._failed: set[str] = set()
        self._changing = threading.Lock()

    def began(self, key: str) -> None:
        """An item goes on to the next stage."""
        with self._changing:
            self._open[shard_of(key)] += 1

    def settled(self, key: str, *, failed: bool) -> None:
        """What became of it is on disk, or it failed for now."""
        with self._changing:
            shard = shard_of(key)
            self._open[shard] -= 1
            if failed:
                self._failed.add(shard)

    def ended(self, shard: str, stamp: str) -> None:
        """All items of a shard have gone on."""
        with self._changing:
            self._ended[shard] = stamp

    def done(self) -> Iterator[tuple[str, str]]:
        """Gives the names and stamps of shards that are done, once."""
        with self._changing:
            ready = [
                (shard, stamp)
                for shard, stamp in self._ended.items()
                if self._open[shard] <= 0 and shard not in self._failed
            ]
            for shard, _ in ready:
                del self._ended[shard]
                self._open.pop(shard, None)
        yield from ready
