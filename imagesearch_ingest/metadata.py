"""Joins what is said of an image, from its source, its path, itself, and the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_ingest import embedded
from imagesearch_ingest.items import Facts
from imagesearch_ingest.patterns import PathPattern

# What the index takes; what an image says of itself is cut to it rather than refused for it.
_MOST = 100
_MOST_KEY_BYTES = 256
_MOST_BYTES = 8_192


@dataclass(frozen=True)
class Describing:
    """How images are described.

    Attributes:
        tags: Labels put on every image.
        pattern: Reads paths; None: they say nothing.
        read_embedded: Read EXIF, IPTC and XMP.
    """

    tags: Sequence[str] = ()
    pattern: PathPattern | None = None
    read_embedded: bool = True

    def upload(self, content: bytes, said: Facts) -> pb.ImageUpload:
        """Makes the message for an image. What its source says counts most, then its path."""
        facts = Facts(tags=tuple(self.tags)).over(said)
        if self.pattern is not None:
            facts = facts.over(self.pattern.facts(said.relative_path))
        if self.read_embedded:
            facts = _fitting(facts, embedded.read(content))
        upload = pb.ImageUpload(
            content=content,
            image_name=facts.image_name,
            relative_path=facts.relative_path,
            url=facts.url,
            page_url=facts.page_url,
            caption=facts.caption,
            tags=facts.tags,
            attributes=facts.attributes,
        )
        if facts.captured_at is not None:
            _set_time(upload, facts.captured_at)
        return upload


def _fitting(said: Facts, found: Facts) -> Facts:
    """Adds what an image says of itself, as far as there is room."""
    attributes = {
        key: value
        for key, value in found.attributes.items()
        if len(value.encode()) <= _MOST_BYTES and len(key.encode()) <= _MOST_KEY_BYTES
    }
    tags = [tag for tag in found.tags if len(tag.encode()) <= _MOST_BYTES and tag not in said.tags]
    kept = Facts(
        caption=found.caption,
        tags=tuple(tags[: max(0, _MOST - len(said.tags))]),
        attributes=attributes if len(said.attributes) + len(attributes) <= _MOST else {},
    )
    return said.over(kept)


def _set_time(upload: pb.ImageUpload, at: datetime) -> None:
    upload.captured_at.FromDatetime(at)
