"""How an ingest goes."""

from dataclasses import dataclass, field

from imagesearch_ingest.listing import Choice
from imagesearch_ingest.metadata import Describing


@dataclass(frozen=True)
class Settings:
    """How a run goes.

    Attributes:
        describing: How images are described.
        recipe: Digest of that.
        choice: Which known items are done again.
        streams: IndexImages streams at a time.
        window: Most images of a stream that are sent and not answered.
        readers: Threads that read.
        max_bytes: Bytes of images in memory at a time.
        dry_run: Read nothing, send nothing: only count what would be.
        count: Count how many items there are, for a progress bar.
    """

    describing: Describing = field(default_factory=Describing)
    recipe: str = ""
    choice: Choice = field(default_factory=Choice)
    streams: int = 2
    window: int = 64
    readers: int = 4
    max_bytes: int = 128 * 1024 * 1024
    dry_run: bool = False
    count: bool = False
