"""Keeps an index's other revisions in step with what was written to the live one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_service.bulk import Operation, bulk, item_error, item_of
from search_service.cluster import Cluster, pause
from search_service.errors import IndexNotFoundError, NotReadyError, OverloadedError
from search_service.indexes import Indexes
from search_service.mappings import Index, Revision

_ROUNDS = 8


@dataclass(frozen=True)
class Written:
    """What Elasticsearch acknowledged.

    Attributes:
        image_id: Of the document.
        physical: The physical index it was written to.
        seq_no: The number it got there.
        line: The document, as in a bulk request; None if it was deleted.
    """

    image_id: str
    physical: str
    seq_no: int
    line: bytes | None


class Mirror:
    """Writes to all other revisions what was written to the live one.

    Copies carry a version made of the live revision's epoch and the sequence number there,
    so it does not matter in which order or how often they come.

    Args:
        cluster: Where they are.
        indexes: What revisions there are. A revision counts as known to every server after
            `indexes.CACHE_S`, as it is looked up after each write.
    """

    def __init__(self, cluster: Cluster, indexes: Indexes) -> None:
        self._cluster = cluster
        self._indexes = indexes

    async def follow(self, name: str, written: Sequence[Written]) -> dict[str, Exception]:
        """Writes to the other revisions of the index.

        Returns:
            By id of a document: why not all of them have it. It is safe to write it again.
        """
        if not written:
            return {}
        failed: dict[str, Exception] = {}
        try:
            index = await self._indexes.get(name)
            if any(each.physical != index.live.physical for each in written):  # just promoted
                index = await self._indexes.get_now(name)
            for target in index.revisions:
                copies = _copies(index, target, written)
                failed |= await write_copies(self._cluster, target, copies)
        except IndexNotFoundError:
            self._indexes.forget(name)  # deleted meanwhile
        except Exception as error:
            return {each.image_id: error for each in written}
        return failed


def _copies(index: Index, target: Revision, written: Sequence[Written]) -> dict[str, Operation]:
    origins = {revision.physical: revision for revision in index.revisions}
    copies: dict[str, Operation] = {}
    for each in written:
        origin = origins.get(each.physical)
        if origin is None or origin is target:
            continue
        if each.line is None or origin.space == target.space:
            copies[each.image_id] = copy_of(each, origin)
    return copies


def copy_of(written: Written, origin: Revision) -> Operation:
    """The operation of a bulk request that makes another revision like this one in a document."""
    kind = "delete" if written.line is None else "index"
    version = origin.version(written.seq_no)
    action = {kind: {"_id": written.image_id, "version": version, "version_type": "external_gte"}}
    return action, written.line


async def write_copies(
    cluster: Cluster, target: Revision, copies: Mapping[str, Operation]
) -> dict[str, Exception]:
    """Writes copies of documents to a revision; what has a newer one already is done.

    Args:
        cluster: Where it is.
        target: The revision.
        copies: By id: the operation.

    Returns:
        By id: why the revision does not have it.
    """
    left = dict(copies)
    refused: dict[str, Exception] = {}
    waiting: dict[str, Exception] = {}
    for number in range(_ROUNDS):
        if not left:
            break
        try:
            items = await bulk(cluster, target.alias, list(left.values()), "false")
        except IndexNotFoundError:
            return {}  # the revision was deleted: nothing has to be in step with anything
        except (OverloadedError, NotReadyError) as error:
            waiting = dict.fromkeys(left, error)
        else:
            waiting = {}
            for image_id, why in _failures(items, list(left), target).items():
                again = isinstance(why, OverloadedError | NotReadyError)
                (waiting if again else refused)[image_id] = why
            left = {image_id: left[image_id] for image_id in waiting}
        if left and not await pause(number):
            break
    return refused | waiting


def _failures(
    items: Sequence[Mapping[str, Any]], ids: Sequence[str], target: Revision
) -> dict[str, Exception]:
    failures: dict[str, Exception] = {}
    for image_id, answer in zip(ids, items, strict=True):
        item = item_of(answer)
        gone = item["status"] == 404 and "error" not in item
        if item["status"] in (200, 201, 409) or gone:
            continue
        error = item_error(item, target.name, image_id)
        if not isinstance(error, IndexNotFoundError):
            failures[image_id] = error
    return failures
