"""Makes another revision of the same space equal to the live one, while both are written to.

One walk over the ids of both finds what the other lacks, has in an older version, or has too
much; that is read afresh from the live one and copied with its version. So the first walk fills
an empty revision, and another one proves it complete.
"""

from collections.abc import Awaitable, Callable, Mapping

import numpy as np

from search_service import documents, walking
from search_service.bulk import Operation, batched, line_of
from search_service.cluster import Cluster
from search_service.hashes import with_bands
from search_service.mappings import VECTOR_FIELD, Revision
from search_service.mirroring import Written, copy_of, write_copies

_PAGE = 2_000
_COPIED = 250

Progress = Callable[[str, int], Awaitable[None]]
"""Hears after each page: the last id that is done, and how many documents were copied since."""


async def copy_missing(
    cluster: Cluster, live: Revision, other: Revision, after: str, progress: Progress
) -> None:
    """Copies what the other revision lacks and deletes what it has too much.

    Args:
        cluster: Where they are.
        live: The live revision, as searches see it: refresh it before.
        other: The other one, of the same space; refresh it before.
        after: The id to begin after; "": at the first.
        progress: Called after each page.

    Raises:
        ServiceError: Elasticsearch does not answer, or refuses a document. It is safe to begin
            again after the last id that `progress` heard.
    """
    while True:
        there = await walking.page(cluster, live, after, _PAGE, fields=walking.NOTHING)
        upto = there[-1]["_id"] if len(there) == _PAGE else ""
        versions = await _versions(cluster, other, after, upto)
        wanted = {hit["_id"]: live.version(hit["_seq_no"]) for hit in there}
        lacking = [each for each, version in wanted.items() if versions.get(each, -1) < version]
        extra = [each for each in versions if each not in wanted]
        for some in batched(lacking, _COPIED):
            await _copy(cluster, live, other, some)
        for some in batched(extra, _COPIED):
            await _delete(cluster, live, other, some)
        after = upto
        await progress(after, len(lacking) + len(extra))
        if not upto:
            return


async def _versions(cluster: Cluster, other: Revision, after: str, upto: str) -> Mapping[str, int]:
    versions: dict[str, int] = {}
    while True:
        found = await walking.page(cluster, other, after, _PAGE, upto=upto, fields=walking.NOTHING)
        versions |= {hit["_id"]: hit["_version"] for hit in found}
        if len(found) < _PAGE:
            return versions
        after = found[-1]["_id"]


async def _copy(cluster: Cluster, live: Revision, other: Revision, ids: list[str]) -> None:
    """Copies documents as they are now; what is gone meanwhile, the mirror has deleted."""
    packed = await cluster.packs_vectors()
    copies = {}
    found = await documents.get(cluster, live.physical, ids, vectors=True)
    for image_id, known in zip(ids, found, strict=True):
        if known is not None:
            record = dict(known["_source"])
            vector = np.array(record.pop(VECTOR_FIELD), np.float32)
            line = line_of(with_bands(record), vector, packed)
            written = Written(image_id, live.physical, known["_seq_no"], line)
            copies[image_id] = copy_of(written, live)
    _raise_first(await write_copies(cluster, other, copies))


async def _delete(cluster: Cluster, live: Revision, other: Revision, ids: list[str]) -> None:
    """Deletes what the live revision does not have.

    Read first in the other: what comes into both after that is newer than the condition allows.
    """
    extra = await documents.get(cluster, other.physical, ids)
    known = await documents.get(cluster, live.physical, ids)
    deletions: dict[str, Operation] = {}
    for image_id, surplus, kept in zip(ids, extra, known, strict=True):
        if surplus is not None and kept is None:
            condition = {
                "if_seq_no": surplus["_seq_no"],
                "if_primary_term": surplus["_primary_term"],
            }
            deletions[image_id] = ({"delete": {"_id": image_id, **condition}}, None)
    _raise_first(await write_copies(cluster, other, deletions))


def _raise_first(failed: Mapping[str, Exception]) -> None:
    for error in failed.values():
        raise error
