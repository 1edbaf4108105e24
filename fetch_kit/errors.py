"""Why a URL gives nothing.

    FetchRefusal
    ├── UrlInvalidError       it is no URL of a kind that is fetched
    ├── UrlForbiddenError     it leads where nobody may be sent
    ├── AnswerError           the server answered, but not with what was asked for
    │   ├── StatusError       … with another status than 200
    │   └── TooLargeError     … with more bytes than allowed
    └── RedirectsError        it redirects without end

What the network does (connection refused, time over) stays an exception of aiohttp or TimeoutError.
"""


class FetchRefusal(Exception):
    """Base of what makes a fetch end without a body. Its text completes "this URL …"."""


class UrlInvalidError(FetchRefusal):
    """The text is not a URL of a kind that is fetched."""


class UrlForbiddenError(FetchRefusal):
    """The URL leads to an address or a port that may not be connected to."""


class AddressForbiddenError(PermissionError, UrlForbiddenError):
    """A connection was about to be made to an address that is not allowed.

    An OSError too, so that HTTP libraries take it for a failed connection and pass it on.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return self.what


class AnswerError(FetchRefusal):
    """The server's answer is not what was asked for."""


class StatusError(AnswerError):
    """The server answered with another status than 200.

    Args:
        status: The HTTP status.
        retry_after_s: Seconds after which the server wants to be asked again; None: not said.
    """

    def __init__(self, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(f"answered with status {status}")
        self.status = status
        self.retry_after_s = retry_after_s


class TooLargeError(AnswerError):
    """The answer has more bytes than allowed, as sent or unpacked."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"has more than {max_bytes} bytes")


class RedirectsError(FetchRefusal):
    """The URL redirects too many times."""


def refusal_in(error: BaseException) -> UrlForbiddenError | None:
    """Finds the guard's refusal inside an error that a library made of it; None: there is none."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        if isinstance(each, UrlForbiddenError):
            return each
        seen.add(id(each))
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
    return None
