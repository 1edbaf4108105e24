"""The time that is left of the call being answered.

gRPC for Python does not pass deadlines on by itself. The deadline interceptor sets
the call's end here, inside the wrapped handler; whoever calls onwards reads it.
"""

import time
from contextvars import ContextVar

from service_kit.errors import DeadlineError

# Time kept back so that this service's answer reaches the caller before the caller gives up: so
# much, or of a short time this part.
MARGIN_S, _MARGIN = 0.05, 0.1

_SHARE = 0.7

_end: ContextVar[float | None] = ContextVar("deadline", default=None)


def begin(seconds: float | None) -> None:
    """Says that the current call has `seconds` left; None: no bound."""
    if seconds is None:
        _end.set(None)
    else:
        _end.set(time.monotonic() + seconds - min(MARGIN_S, seconds * _MARGIN))


def share(cap: float) -> float:
    """Seconds to give to one of several parts that are asked at the same time.

    Less than what is left, so that the answers of the others reach the caller when this one does
    not come.
    """
    return _SHARE * remaining(cap)


def remaining(cap: float) -> float:
    """Seconds to give a call to another service: what is left less a margin, at most `cap`.

    Never negative; 0 makes the call fail at once with DEADLINE_EXCEEDED.
    """
    end = _end.get()
    if end is None:
        return cap
    return max(0.0, min(cap, end - time.monotonic()))


def check(what: str) -> None:
    """Ends a call whose time is over, before more is begun for it.

    Args:
        what: What would be begun next, for the error.

    Raises:
        DeadlineError: Nobody waits for the answer any more.
    """
    end = _end.get()
    if end is not None and end <= time.monotonic():
        raise DeadlineError(f"the time was over before {what}")
