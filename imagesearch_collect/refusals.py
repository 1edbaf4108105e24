"""Whatever ended a fetch, in the words of the collection."""

import aiohttp

from fetch_kit.errors import (
    FetchRefusal,
    RedirectsError,
    StatusError,
    TooLargeError,
    UrlForbiddenError,
    UrlInvalidError,
    refusal_in,
)
from imagesearch_collect.outcomes import Reason, RefusedError

_REASONS: tuple[tuple[type[FetchRefusal], Reason], ...] = (
    (UrlForbiddenError, Reason.URL_FORBIDDEN),
    (UrlInvalidError, Reason.URL_INVALID),
    (TooLargeError, Reason.TOO_LARGE),
    (RedirectsError, Reason.REDIRECTS),
    (FetchRefusal, Reason.BAD_ANSWER),
)

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 522, 524})
"""Statuses after which the same request may go well."""


def of_status(status: int, retry_after_s: float | None = None) -> RefusedError:
    """An answer with another status than 200."""
    reason = Reason.BUSY if status in _BUSY else Reason.STATUS
    return RefusedError(reason, f"answered with status {status}", retry_after_s)


def of_error(error: BaseException) -> RefusedError | None:
    """An exception of fetch_kit, aiohttp or asyncio; None: it is none of these."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, StatusError):
        return of_status(error.status, error.retry_after_s)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return RefusedError(reason, str(error))
    if isinstance(error, TimeoutError):
        return RefusedError(Reason.TIMEOUT, "gave no answer in time")
    if isinstance(error, aiohttp.ClientError | OSError):
        if refused := refusal_in(error):
            return RefusedError(Reason.URL_FORBIDDEN, str(refused))
        return RefusedError(Reason.UNREACHABLE, f"cannot be reached: {type(error).__name__}")
    return None
