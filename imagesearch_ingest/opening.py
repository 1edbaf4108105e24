"""What a user names, as a source."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from imagesearch_ingest.folder import Folder
from imagesearch_ingest.ignoring import Ignores
from imagesearch_ingest.items import Source, SourceError
from imagesearch_ingest.manifest import FILE, Manifest
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.remote import RemoteFolder
from imagesearch_ingest.shards import Shards, expand
from imagesearch_ingest.tars import Tars
from imagesearch_ingest.zips import Zips

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://|[a-z]+::")
_TARS = (".tar", ".tgz", ".tar.gz", ".tar.zst", ".tar.bz2", ".tar.xz")


class Kind(StrEnum):
    """Kinds of sources."""

    AUTO = "auto"
    FOLDER = "folder"
    MANIFEST = "manifest"
    TAR = "tar"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"
    ZIP = "zip"


@dataclass(frozen=True)
class Opening:
    """How sources are opened.

    Attributes:
        kind: What they are; AUTO: it is seen from the name.
        exclude: Patterns, as in .gitignore files, of what is passed over in folders.
        mapping: Which columns or keys are which fields.
        settle_s: See `Folder`.
    """

    kind: Kind = Kind.AUTO
    exclude: Sequence[str] = ()
    mapping: Mapping = field(default_factory=Mapping)
    settle_s: float = 0.0

    def open(self, place: str) -> Source:
        """Opens a source.

        Args:
            place: A folder, a file, or a URL; of archives and tables also several, as in
                "shard-{000000..000123}.tar" or "*.parquet".

        Raises:
            SourceError: There is none, or it is of no known kind.
        """
        remote = _SCHEME.match(place) is not None
        kind = self._kind(place, remote)
        if kind is Kind.FOLDER:
            if remote:
                return RemoteFolder(place, Ignores(self.exclude), self.mapping)
            return Folder(
                Path(place).expanduser(), Ignores(self.exclude), self.mapping, self.settle_s
            )
        if kind is Kind.MANIFEST:
            file = Path(place).expanduser()
            return Manifest(file / FILE if file.is_dir() else file, self.mapping)
        urls = expand(place if remote else str(Path(place).expanduser().absolute()))
        mapping = self.mapping
        if kind is Kind.PARQUET:
            from imagesearch_ingest.tables import Tables  # pyarrow takes a fifth of a second

            return Shards(urls, lambda _: Tables(mapping))
        if kind is Kind.ZIP:
            return Shards(urls, lambda _: Zips(mapping))
        return Shards(urls, lambda _: Tars(mapping))

    def _kind(self, place: str, remote: bool) -> Kind:
        if self.kind is not Kind.AUTO:
            return self.kind
        lower = place.lower()
        if lower.endswith(_TARS):
            return Kind.TAR
        for suffix, kind in ((".zip", Kind.ZIP), (".parquet", Kind.PARQUET)):
            if lower.endswith(suffix):
                return kind
        if lower.endswith((".jsonl", ".ndjson")) and not remote:
            return Kind.MANIFEST
        path = Path(place).expanduser()
        if remote:
            return Kind.FOLDER
        if path.is_dir():
            return Kind.MANIFEST if (path / FILE).is_file() else Kind.FOLDER
        if path.exists():
            raise SourceError(f"{place} is of no known kind; --format names one")
        raise SourceError(f"{place} does not exist")
