"""Which shards are done: a small file for each, wherever fsspec can write."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import fsspec


@dataclass(frozen=True)
class ShardResult:
    """What became of a shard.

    Attributes:
        shard: Its URL.
        documents: Images that are stored.
        refused: (name, reason) of those that are not.
        error: Why it could not be read to its end; "": it was.
    """

    shard: str
    documents: int
    refused: tuple[tuple[str, str], ...] = ()
    error: str = ""


class Checkpoints:
    """Results of shards that are done, under a URL. A shard that has changed is not done.

    Args:
        url: Where, as fsspec names it.
        job: What the results depend on beside the shard: model, index, options.
    """

    def __init__(self, url: str, job: str) -> None:
        self._files: Any
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._job = job

    def read(self, shard: str) -> ShardResult | None:
        """The result of a shard; None: it is to be done."""
        try:
            content = json.loads(self._files.cat_file(self._path(shard)))
        except FileNotFoundError:
            return None
        content["refused"] = tuple((name, reason) for name, reason in content["refused"])
        return ShardResult(**content)

    def write(self, result: ShardResult) -> None:
        """Notes that a shard is done."""
        path = self._path(result.shard)
        self._files.makedirs(self._root, exist_ok=True)
        self._files.pipe_file(f"{path}.unfinished", json.dumps(asdict(result)).encode())
        self._files.mv(f"{path}.unfinished", path)

    def _path(self, shard: str) -> str:
        files, path = fsspec.core.url_to_fs(shard)
        info = files.info(path)
        said = [info.get(name) for name in ("ETag", "mtime", "LastModified", "updated", "size")]
        name = hashlib.sha256(repr((shard, said, self._job)).encode()).hexdigest()[:32]
        return f"{self._root}/{name}.json"
