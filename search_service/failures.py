"""Elasticsearch's failures as our errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elasticsearch import ApiError, ConnectionTimeout, TransportError

from search_service.errors import (
    IndexBlockedError,
    IndexExistsError,
    IndexNotFoundError,
    LicenseError,
    NotReadyError,
    OverloadedError,
    PageExpiredError,
    RequestTooLargeError,
    SnapshotError,
)
from service_kit.deadlines import remaining
from service_kit.errors import DeadlineError, InvalidRequestError, UnavailableError


@contextmanager
def errors_of(index: str) -> Iterator[None]:
    """Turns Elasticsearch's exceptions into ours; `index` is what the call is about."""
    try:
        yield
    except ConnectionTimeout as error:
        if remaining(1) <= 0:
            raise DeadlineError("Elasticsearch did not answer before the deadline") from error
        raise UnavailableError("Elasticsearch does not answer in time") from error
    except TransportError as error:
        raise UnavailableError("Elasticsearch does not answer") from error
    except ApiError as error:
        translated = translate(error.status_code, error.body, index)
        if translated is None:
            raise
        raise translated from error


def error_of(body: Any, index: str) -> Exception:
    """Makes our error of an answer that has failed within one that has not."""
    found = translate(body.get("status", 500), body, index)
    return found or RuntimeError(f"{_type(body)}: {reason_of(body)}")


def translate(status: int, body: Any, index: str) -> Exception | None:
    """Makes our error of Elasticsearch's; None where it can only be a bug of ours.

    Args:
        status: HTTP status.
        body: With an "error" of a type, e.g. "index_not_found_exception", and a reason.
        index: Name of the index the request is about.
    """
    kind, reason = _type(body), reason_of(body)
    if kind == "index_not_found_exception" or "require_alias" in reason:
        return IndexNotFoundError(index)
    if kind in ("resource_already_exists_exception", "invalid_alias_name_exception"):
        return IndexExistsError(index)
    if kind == "cluster_block_exception" and status in (403, 429):
        return IndexBlockedError(index, reason)
    if "search_context_missing_exception" in _kinds(body):
        return PageExpiredError()
    if kind.startswith(("repository_", "snapshot_", "invalid_snapshot_name")):
        return SnapshotError(reason)
    if status == 413 or (kind == "circuit_breaking_exception" and _is_permanent(body)):
        return RequestTooLargeError(reason)
    if status == 429:
        return OverloadedError()
    if status in (502, 503, 504):
        return NotReadyError()
    if kind == "security_exception" and "license" in reason:
        return LicenseError(reason)
    if status in (401, 403):
        return UnavailableError("Elasticsearch refuses the credentials of search_service")
    if status == 400 and reason.startswith("Failed to parse query"):
        return InvalidRequestError([("lucene_query", _deepest(body).partition("\n")[0])])
    return None


def _causes(body: Any) -> list[dict[str, Any]]:
    """The error of an answer and what caused it, the root first."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return []
    return [*error.get("root_cause", ()), error]


def _kinds(body: Any) -> set[str]:
    return {str(cause.get("type", "")) for cause in _causes(body)}


def _type(body: Any) -> str:
    causes = _causes(body)
    return str(causes[0].get("type", "")) if causes else ""


def reason_of(body: Any) -> str:
    """What the body of a failed request says."""
    causes = _causes(body)
    if causes:
        return str(causes[0].get("reason", ""))
    return str(body.get("error", body)) if isinstance(body, dict) else str(body)


def _is_permanent(body: Any) -> bool:
    return any(cause.get("durability") == "PERMANENT" for cause in _causes(body))


def _deepest(body: Any) -> str:
    """What the innermost cause of a failed search says."""
    failed = body["error"].get("failed_shards") or [{"reason": body["error"]}]
    cause = failed[0]["reason"]
    while "caused_by" in cause:
        cause = cause["caused_by"]
    return str(cause.get("reason", ""))
