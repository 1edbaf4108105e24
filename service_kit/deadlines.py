"""The time that is left of the call being answered.

gRPC for Python does not pass deadlines on by itself. The deadline interceptor sets
the call's end here, inside the wrapped handler; whoever calls onwards reads it.
"""

import time
from contextvars import ContextVar

# Time kept back so that this service's answer reaches the caller before the caller gives up.
MARGIN_S = 0.05

_SHARE = 0.7

_end: ContextVar[float | None] = ContextVar("deadline", default=None)


def begin(seconds: float | None) -> None:
    """Says that the current call has `seconds` left; None: no bound."""
    _end.set(None if seconds is None else time.monotonic() + seconds)


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
    return max(0.0, min(cap, end - time.monotonic() - MARGIN_S))
