"""Admission: what a server holds, and whether there is room for more."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import grpc
import structlog

from service_kit.errors import RetryableError
from service_kit.pace import Pace

log = structlog.get_logger()

CALLS, STREAMS, BYTES, PIXELS = "calls", "streams", "bytes", "pixels"
"""What there may be no room for."""

# Calls in flight before the server's pace is known.
_FIRST = 256

_NO_ROOM = {
    BYTES: "no room for the request",
    PIXELS: "no room for as many pixels as the request's images have",
}

_SHORTEST_RETRY_S, _USUAL_RETRY_S, _LONGEST_RETRY_S = 0.1, 1.0, 30.0


class AdmissionError(RetryableError):
    """The server has as much to do as it can do in good time. The call was not begun."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"


@dataclass(frozen=True)
class Limits:
    """What a server holds at most.

    Attributes:
        calls: Calls that are no streams.
        streams: Calls that are: they last, and must not take the places of others. What they hold
            is bounded where it is held.
        request_bytes: Bytes of the requests of all calls that are no streams of requests. One
            larger request alone is taken.
        request_pixels: Pixels of the images in them, likewise: what is to be decoded. None: they
            are not counted.
        wait_s: Fewer calls are taken if they could not be answered within so many seconds. 0: not.
    """

    calls: int
    streams: int
    request_bytes: int
    request_pixels: int | None = None
    wait_s: float = 0.0


class Permit:
    """What one call holds, from before it is read until its answer is made."""

    def __init__(self, admission: "Admission", kind: str) -> None:
        self._admission = admission
        self._kind = kind
        self._held: Counter[str] = Counter()
        self._left = False

    def hold(self, what: str, amount: int) -> None:
        """Holds bytes or pixels too.

        Raises:
            AdmissionError: There is no room for them.
        """
        self._admission.take(what, amount)
        self._held[what] += amount

    def leave(self, _task: object = None, *, answered: bool = False) -> None:
        """Gives all back, once; says whether the call was answered."""
        if not self._left:
            self._left = True
            self._admission.leave(self._kind, self._held, answered)


class Admission:
    """Counts what a server holds. A call gets all that it needs, or is refused and holds nothing.

    All happens on the event loop.

    Args:
        limits: What it holds at most.

    Attributes:
        limits: The same.
        in_flight: Calls and streams that are being answered.
        peak: Most calls in flight since the last line in the log.
        in_requests: Bytes of their requests, and pixels of the images in them.
        refused: How many were, by what there was no room for.
        pace: How many calls may be in flight now, and how fast they are answered.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = {CALLS: 0, STREAMS: 0}
        self.peak = 0
        self.in_requests = {BYTES: 0, PIXELS: 0}
        self.refused: Counter[str] = Counter()
        self.pace = Pace(_FIRST, limits.calls, limits.wait_s)
        self._next_line_at = 0.0

    def enter(self, streaming: bool) -> Permit:
        """Takes a place for a call.

        Raises:
            AdmissionError: There is none.
        """
        kind, limit = (STREAMS, self.limits.streams) if streaming else (CALLS, self.pace.limit)
        if self.in_flight[kind] >= limit:
            raise self.refusal(kind)
        self.in_flight[kind] += 1
        self.peak = max(self.peak, self.in_flight[CALLS])
        return Permit(self, kind)

    def take(self, what: str, amount: int) -> None:
        """Takes room for what is in a request; for permits only.

        Raises:
            AdmissionError: There is none.
        """
        held = self.in_requests[what]
        most = self.limits.request_bytes if what == BYTES else self.limits.request_pixels
        if amount and held and most is not None and held + amount > most:
            raise self.refusal(what)
        self.in_requests[what] += amount

    def leave(self, kind: str, held: Mapping[str, int], answered: bool) -> None:
        """Gives back what a call held; for permits only."""
        self.in_flight[kind] -= 1
        for what, amount in held.items():
            self.in_requests[what] -= amount
        if kind == CALLS:
            self.pace.ended(self.in_flight[CALLS], time.monotonic(), answered)

    def refusal(self, kind: str) -> AdmissionError:
        """Counts a refusal, and makes its error."""
        self.refused[kind] += 1
        now = time.monotonic()
        if kind == CALLS:
            self.pace.full(now)
        self._note(now)
        what = _NO_ROOM.get(kind, f"too many {kind} are being answered")
        return AdmissionError(f"{what}; come back later", self._until_free())

    def _until_free(self) -> timedelta:
        """Estimates when the calls that are in flight now will have been answered."""
        rate = self.pace.rate
        seconds = self.in_flight[CALLS] / rate if rate else _USUAL_RETRY_S
        return timedelta(seconds=min(max(seconds, _SHORTEST_RETRY_S), _LONGEST_RETRY_S))

    def _note(self, now: float) -> None:
        """Tells the log, once a second while calls are refused."""
        if now < self._next_line_at:
            return
        self._next_line_at = now + 1.0
        log.warning(
            "overloaded",
            calls=self.in_flight[CALLS],
            peak_calls=self.peak,
            max_calls=self.pace.limit,
            streams=self.in_flight[STREAMS],
            request_bytes=self.in_requests[BYTES],
            request_pixels=self.in_requests[PIXELS],
            refused=dict(self.refused),
            calls_a_second=self.pace.rate and round(self.pace.rate, 1),
        )
        self.peak = self.in_flight[CALLS]
