"""The revisions of an index: made, compared, promoted, rolled back, deleted."""

from dataclasses import dataclass, replace

from search_service import sampling
from search_service.cluster import Cluster
from search_service.errors import RevisionNotFoundError, RevisionStateError
from search_service.indexes import Indexes
from search_service.mappings import Index, Options, Revision
from search_service.records import now
from search_service.sampling import Comparison

SAMPLES = 100
"""Documents that a gate samples."""

_OVERLAP = 0.9


@dataclass(frozen=True)
class Gate:
    """What a revision must be like to be promoted.

    Attributes:
        min_overlap: Least overlap of what searches find. None: 0.9; of another space, 0.
        open: Promote whatever the comparison says.
    """

    min_overlap: float | None = None
    open: bool = False

    def check(self, found: Comparison, same_space: bool) -> None:
        """Lets a revision pass, or says why not.

        Raises:
            RevisionStateError: It is not fit.
        """
        least = self.min_overlap
        if least is None:
            least = _OVERLAP if same_space else 0.0
        wrong = []
        if found.other_count != found.live_count:
            wrong.append(f"it has {found.other_count} documents, the live one {found.live_count}")
        if found.missing:
            wrong.append(f"it lacks {found.missing} of {found.sampled} sampled documents")
        if found.differing:
            wrong.append(f"{found.differing} of {found.sampled} sampled documents differ")
        if found.overlap < least:
            wrong.append(f"searches find {found.overlap:.3f} of the same, less than {least:g}")
        if wrong:
            raise RevisionStateError("the revision cannot be promoted: " + "; ".join(wrong))


class Revisions:
    """Does what can be done with revisions.

    Args:
        cluster: Where they are.
        indexes: What there is.
    """

    def __init__(self, cluster: Cluster, indexes: Indexes) -> None:
        self._cluster = cluster
        self._indexes = indexes

    async def get(self, name: str, number: int) -> tuple[Index, Revision]:
        """An index and one of its revisions, past what is remembered; 0: the live one.

        Raises:
            IndexNotFoundError: There is no such index.
            RevisionNotFoundError: It has no such revision.
        """
        index = await self._indexes.get_now(name)
        revision = index.revision(number)
        if revision is None:
            raise RevisionNotFoundError(name, number)
        return index, revision

    async def create(
        self, name: str, space: str, options: Options | None, operation: str = ""
    ) -> Revision:
        """Makes an empty one.

        Args:
            name: Of the index.
            space: Of its vectors; "": as the live one's.
            options: What it is made with; None: as the live one.
            operation: Id of the operation that makes it.

        Raises:
            IndexNotFoundError: There is no such index.
            IndexExistsError: Somebody else has made one in the same moment.
        """
        index = await self._indexes.get_now(name)
        live = index.live
        number = index.revisions[-1].number + 1
        made = Revision(
            name, number, space or live.space, options or live.options, now(), operation=operation
        )
        await self._indexes.create_revision(made)
        return made

    async def compare(self, name: str, number: int, samples: int = SAMPLES) -> Comparison:
        """Compares one with the live one.

        Raises:
            IndexNotFoundError: There is no such index.
            RevisionNotFoundError: It has no such revision.
        """
        index, other = await self.get(name, number)
        for revision in (index.live, other):
            await self._indexes.refresh(revision)
        return await sampling.compare(self._cluster, index.live, other, samples)

    async def promote(
        self, name: str, number: int, gate: Gate
    ) -> tuple[Revision, Comparison | None]:
        """Makes one live, in one step. That it is live already is no error.

        Raises:
            IndexNotFoundError: There is no such index.
            RevisionNotFoundError: It has no such revision.
            RevisionStateError: The gate is shut.
        """
        index, target = await self.get(name, number)
        if target.live:
            return target, None
        comparison = None
        if not gate.open:
            comparison = await self.compare(name, number)
            gate.check(comparison, target.space == index.live.space)
        return await self._make_live(index, target), comparison

    async def roll_back(self, name: str) -> Revision:
        """Makes the one live that was before.

        Raises:
            IndexNotFoundError: There is no such index.
            RevisionStateError: None was.
        """
        index = await self._indexes.get_now(name)
        before = max((r for r in index.others if r.epoch), key=lambda r: r.epoch, default=None)
        if before is None:
            raise RevisionStateError(f"index {name!r} has no revision that was live before")
        return await self._make_live(index, before)

    async def _make_live(self, index: Index, target: Revision) -> Revision:
        # The epoch first: a crash before the swap leaves a number unused, and nothing else.
        epoch = 1 + max(revision.epoch for revision in index.revisions)
        promoted = replace(target, epoch=epoch, promoted_at=now())
        await self._indexes.remember(promoted)
        await self._indexes.make_live(index.live, promoted)
        return replace(promoted, live=True)

    async def delete(self, name: str, number: int) -> None:
        """Deletes one.

        Raises:
            IndexNotFoundError: There is no such index.
            RevisionNotFoundError: It has no such revision.
            RevisionStateError: It is live.
        """
        _, revision = await self.get(name, number)
        if revision.live:
            raise RevisionStateError(f"revision {number} is live; DeleteIndex deletes the index")
        await self._indexes.delete_revision(revision)
