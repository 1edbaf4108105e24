"""ETags, and answers that a browser may keep."""

from collections.abc import Mapping

from starlette.responses import Response

IMMUTABLE = "private, max-age=31536000, immutable"
"""For what is named by its content."""


def matches(etag: str, if_none_match: str | None) -> bool:
    """Whether the client has it already (RFC 9110, 13.1.2, weak comparison)."""
    if if_none_match is None:
        return False
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return "*" in known or etag.removeprefix("W/") in known


def unchanged(etag: str, cache_control: str) -> Response:
    """The answer 304."""
    return Response(status_code=304, headers=headers(etag, cache_control))


def headers(etag: str, cache_control: str) -> Mapping[str, str]:
    """What a cache must know."""
    return {"etag": etag, "cache-control": cache_control}
