"""What goes from stage to stage."""

from dataclasses import dataclass

from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_ingest.items import Item
from imagesearch_ingest.journal import Entry


@dataclass(frozen=True, slots=True)
class Work:
    """An item that is to be read.

    Attributes:
        item: The item.
        stamp: Its stamp, and how it is described.
        before: What was known of it; None: nothing.
        content: Its bytes, if they had to be read at once.
        held: Bytes taken from the budget for them.
    """

    item: Item
    stamp: str
    before: Entry | None
    content: bytes | None = None
    held: int = 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that is to be sent.

    Attributes:
        key: Its item's key.
        stamp: Of its work.
        upload: The message.
        image: SHA-256 of its bytes.
        said: See `Entry`.
        place: See `Entry`.
        held: Bytes taken from the budget.
    """

    key: str
    stamp: str
    upload: pb.ImageUpload
    image: bytes
    said: bytes
    place: bytes
    held: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item.

    Attributes:
        entry: What is to be remembered.
        what: "created", "merged", "unchanged", "refused", or "failed": not stored for now, which is
            not remembered.
        held: Bytes to give back to the budget.
        sent: Bytes of the image that was answered; 0: it was not sent.
    """

    entry: Entry
    what: str
    held: int = 0
    sent: int = 0
