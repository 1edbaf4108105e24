"""What is kept of operations: each is a document in Elasticsearch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from elasticsearch import BadRequestError, ConflictError, NotFoundError

from search_service.cluster import Cluster
from search_service.errors import OperationNotFoundError, OperationRunningError
from search_service.failures import errors_of
from search_service.records import now
from service_kit.errors import RetryableError, ServiceError

INDEX = ".imagesearch-operations"
_LISTED = 1_000
_KEPT = "30d"

_BODY: dict[str, Any] = {
    "settings": {"index": {"hidden": True, "auto_expand_replicas": "0-1"}},
    "mappings": {
        "dynamic": False,
        "properties": {
            "index": {"type": "keyword"},
            "kind": {"type": "keyword"},
            "done": {"type": "boolean"},
            "created_at": {"type": "date"},
        },
    },
}


@dataclass
class Record:
    """What is kept of an operation.

    Attributes:
        id: Its name without "operations/".
        kind: What is done: "rebuild", …
        index: Name of the index it is about.
        request: What was asked for.
        created_at: RFC 3339.
        updated_at: RFC 3339; when it was last written.
        state: How far it came, for who goes on with it.
        step: The same, for people.
        documents_done: Of the step.
        documents_total: Of the step.
        cancelled: It is to end at the next step.
        done: It has ended.
        response: What it has done, once it has.
        error: Why it has failed: status code and message.
        leased_until: Milliseconds since 1970; somebody works on it until then.
    """

    id: str
    kind: str
    index: str
    request: dict[str, Any]
    created_at: str
    updated_at: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    step: str = ""
    documents_done: int = 0
    documents_total: int = 0
    cancelled: bool = False
    done: bool = False
    response: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    leased_until: int = 0


class LeaseLostError(Exception):
    """Somebody else works on the operation now, or it was deleted."""


Stored = tuple[Record, Mapping[str, int]]
"""A record, and the condition that it is still what was read."""


class OperationStore:
    """The documents. One write at a time wins.

    Args:
        cluster: Where they are.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, record: Record) -> Stored:
        """Writes a new one.

        Raises:
            OperationRunningError: There is one of this id.
        """
        await self._ensure()
        try:
            with errors_of(INDEX):
                answer = await self._cluster.writing().create(
                    index=INDEX, id=record.id, document=asdict(record), refresh=True
                )
        except ConflictError as error:
            raise OperationRunningError(f"operations/{record.id}") from error
        return record, _condition(answer)

    async def get(self, operation_id: str) -> Stored:
        """Reads one.

        Raises:
            OperationNotFoundError: There is none.
        """
        try:
            with errors_of(INDEX):
                found = await self._cluster.reading().get(index=INDEX, id=operation_id)
        except (NotFoundError, ServiceError) as error:
            if isinstance(error, RetryableError):
                raise
            raise OperationNotFoundError(f"operations/{operation_id}") from error
        return _read(found["_source"]), _condition(found)

    async def put(self, record: Record, condition: Mapping[str, int]) -> Stored:
        """Replaces one.

        Raises:
            LeaseLostError: It has been written since `condition`.
        """
        record.updated_at = now()
        try:
            with errors_of(INDEX):
                answer = await self._cluster.writing().index(
                    index=INDEX,
                    id=record.id,
                    document=asdict(record),
                    refresh=record.done,
                    if_seq_no=condition["if_seq_no"],
                    if_primary_term=condition["if_primary_term"],
                )
        except (ConflictError, NotFoundError) as error:
            raise LeaseLostError(record.id) from error
        return record, _condition(answer)

    async def delete(self, operation_id: str) -> None:
        """Deletes one; that there is none is no error."""
        try:
            with errors_of(INDEX):
                await self._cluster.writing().delete(index=INDEX, id=operation_id, refresh=True)
        except NotFoundError:
            pass

    async def all(self, *, running: bool = False) -> list[Stored]:
        """The latest, newest first; or those that have not ended."""
        with errors_of(INDEX):
            answer = await self._cluster.reading().search(
                index=INDEX,
                query={"term": {"done": False}} if running else {"match_all": {}},
                sort=[{"created_at": "desc"}],
                size=_LISTED,
                seq_no_primary_term=True,
                ignore_unavailable=True,
            )
        return [(_read(hit["_source"]), _condition(hit)) for hit in answer["hits"]["hits"]]

    async def sweep(self) -> None:
        """Deletes those that ended long ago."""
        old = {"range": {"created_at": {"lt": f"now-{_KEPT}"}}}
        with errors_of(INDEX):
            answer = await self._cluster.reading().search(
                index=INDEX,
                query={"bool": {"filter": [{"term": {"done": True}}, old]}},
                size=_LISTED,
                source=False,
                ignore_unavailable=True,
            )
        for hit in answer["hits"]["hits"]:
            await self.delete(hit["_id"])

    async def _ensure(self) -> None:
        try:
            with errors_of(INDEX):
                if not await self._cluster.reading().indices.exists(index=INDEX):
                    await self._cluster.writing().indices.create(index=INDEX, **_BODY)
        except (BadRequestError, ServiceError) as error:
            if isinstance(error, RetryableError):
                raise  # else somebody else has just made it


def _condition(answer: Any) -> Mapping[str, int]:
    return {"if_seq_no": answer["_seq_no"], "if_primary_term": answer["_primary_term"]}


def _read(source: Mapping[str, Any]) -> Record:
    known = {each.name for each in fields(Record)}
    return Record(**{name: value for name, value in source.items() if name in known})
