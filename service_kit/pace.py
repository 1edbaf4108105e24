"""How fast a server answers, and how many calls at a time that is good for."""

_LEAST = 8
"""Calls in flight that are never too many: fewer could not keep the parts of a system busy."""

_WINDOW_S = 0.5
_WINDOW_CALLS = 8


class Pace:
    """Bounds calls in flight, so that each is answered in good time whatever the machine.

    By Little's law calls in flight stay for calls / (calls answered a second) seconds. The rate
    is measured only while calls are refused, or it would be that of the callers and not the
    server's own; from the first refusal until less than half of what may be is in flight.

    Args:
        first: Calls that may be in flight before anything is known.
        most: Calls that may be at most.
        wait_s: Seconds within which calls should be answered. 0: however long it takes, `most`
            may be in flight.

    Attributes:
        limit: Calls that may be in flight now.
        rate: Calls that the server answers a second when it is busy; None: it never was.
    """

    def __init__(self, first: int, most: int, wait_s: float) -> None:
        self._most = most
        self._wait_s = wait_s
        self.limit = min(first, most) if wait_s else most
        self.rate: float | None = None
        self._since: float | None = None
        self._ended = 0

    def full(self, now: float) -> None:
        """A call was refused; `now` is time.monotonic."""
        if self._since is None:
            self._since, self._ended = now, 0

    def ended(self, in_flight: int, now: float) -> None:
        """A call has ended, and so many are left; `now` is time.monotonic."""
        if self._since is None:
            return
        if 2 * in_flight < self.limit:
            self._since = None
            return
        self._ended += 1
        if self._ended < _WINDOW_CALLS or now - self._since < _WINDOW_S:
            return
        rate = self._ended / (now - self._since)
        self.rate = rate if self.rate is None else (self.rate + rate) / 2
        self._since, self._ended = now, 0
        if self._wait_s:
            self.limit = max(min(_LEAST, self._most), min(self._most, int(rate * self._wait_s)))
