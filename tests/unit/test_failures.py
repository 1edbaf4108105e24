"""search_service.failures: each failure of Elasticsearch to the right status."""

from typing import Any

import grpc
import pytest

from search_service.failures import translate
from service_kit.errors import RetryableError, ServiceError


def body(kind: str, reason: str = "", **more: Any) -> dict[str, Any]:
    cause = {"type": kind, "reason": reason, **more}
    return {"error": {"root_cause": [cause], **cause}}


BLOCK = "index [i] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"
Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("status", "answer", "code", "reason", "retried"),
    [
        (404, body("index_not_found_exception"), Code.NOT_FOUND, "INDEX_NOT_FOUND", False),
        (400, body("x", "require_alias"), Code.NOT_FOUND, "INDEX_NOT_FOUND", False),
        (
            400,
            body("resource_already_exists_exception"),
            Code.ALREADY_EXISTS,
            "INDEX_EXISTS",
            False,
        ),
        (
            403,
            body("security_exception", "current license is non-compliant for [bbq_disk]"),
            Code.FAILED_PRECONDITION,
            "NOT_LICENSED",
            False,
        ),
        (
            429,
            body("cluster_block_exception", BLOCK),
            Code.FAILED_PRECONDITION,
            "INDEX_BLOCKED",
            False,
        ),
        (
            403,
            body("cluster_block_exception", BLOCK),
            Code.FAILED_PRECONDITION,
            "INDEX_BLOCKED",
            False,
        ),
        (429, body("es_rejected_execution_exception"), Code.RESOURCE_EXHAUSTED, "OVERLOADED", True),
        (
            429,
            body("circuit_breaking_exception", durability="TRANSIENT"),
            Code.RESOURCE_EXHAUSTED,
            "OVERLOADED",
            True,
        ),
        (
            429,
            body("circuit_breaking_exception", durability="PERMANENT"),
            Code.RESOURCE_EXHAUSTED,
            "TOO_LARGE",
            False,
        ),
        (413, "Request Entity Too Large", Code.RESOURCE_EXHAUSTED, "TOO_LARGE", False),
        (503, body("search_phase_execution_exception"), Code.UNAVAILABLE, "NOT_READY", True),
        (503, body("no_shard_available_action_exception"), Code.UNAVAILABLE, "NOT_READY", True),
        (504, body("process_cluster_event_timeout"), Code.UNAVAILABLE, "NOT_READY", True),
        (401, body("security_exception"), Code.UNAVAILABLE, "UNAVAILABLE", True),
        (
            404,
            body("search_context_missing_exception"),
            Code.FAILED_PRECONDITION,
            "PAGE_EXPIRED",
            False,
        ),
        (404, body("repository_missing_exception"), Code.FAILED_PRECONDITION, "SNAPSHOT", False),
        (
            400,
            body("query_shard_exception", "Failed to parse query [a:(]"),
            Code.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            False,
        ),
    ],
)
def test_statuses(
    status: int, answer: Any, code: grpc.StatusCode, reason: str, retried: bool
) -> None:
    error = translate(status, answer, "an-index")

    assert isinstance(error, ServiceError)
    assert (error.code, error.reason) == (code, reason)
    assert isinstance(error, RetryableError) is retried


def test_what_can_only_be_a_bug_of_ours_is_none_of_these() -> None:
    assert translate(400, body("parsing_exception", "unknown key"), "an-index") is None
    assert translate(500, body("null_pointer_exception"), "an-index") is None
