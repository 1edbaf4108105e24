"""How fast a server answers, and how many calls at a time that is good for."""

_LEAST = 8
"""Calls in flight that are never too many: fewer could not keep the parts of a system busy."""

# The rate is measured over so many seconds; over more, if fewer calls are answered in them.
_WINDOW_S, _LONGEST_WINDOW_S = 0.5, 2.0
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
        self._answered = 0

    def full(self, now: float) -> None:
        """A call was refused; `now` is time.monotonic."""
        if self._since is None:
            self._since, self._answered = now, 0

    def ended(self, in_flight: int, now: float, answered: bool) -> None:
        """A call has ended, and so many are left.

        Args:
            in_flight: So many.
            now: time.monotonic.
            answered: It was answered. Who leaves, or comes to the end of his time, makes room too;
                but that is not what the server can do.
        """
        if self._since is None:
            return
        if 2 * in_flight < self.limit:
            self._since = None
            return
        self._answered += answered
        seconds = now - self._since
        if seconds < _WINDOW_S:
            return
        if self._answered < _WINDOW_CALLS and seconds < _LONGEST_WINDOW_S:
            return
        rate = self._answered / seconds
        self.rate = rate if self.rate is None else (self.rate + rate) / 2
        self._since, self._answered = now, 0
        if self._wait_s:
            sure = min(rate, self.rate)  # down at once, up by and by
            self.limit = max(min(_LEAST, self._most), min(self._most, int(sure * self._wait_s)))
