"""Keeps lines that repeat from flooding the log, and the log from taking the time to serve."""

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any

import structlog

_MOST_KINDS = 1_000

_LEVELS = {"warning", "error", "critical"}


class Throttle:
    """Lets few lines of a kind through a second; the next one says how many it left out.

    Only warnings and errors are held back: those are what thousands of calls produce in a
    moment when something is away or full.

    Args:
        most: Lines of a kind a second.
        clock: Seconds; grows.
    """

    def __init__(self, most: int = 20, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        # By kind: when its second began, lines written in it, lines left out since.
        self._kinds: dict[Hashable, list[float]] = {}

    def processor(
        self, _logger: Any, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Processes one of our lines; its kind is its event, method and code.

        Raises:
            structlog.DropEvent: It is left out.
        """
        if event.get("level") in _LEVELS:
            left_out = self._pass((event.get("event"), event.get("method"), event.get("code")))
            if left_out is None:
                raise structlog.DropEvent
            if left_out:
                event["not_logged"] = left_out + event.get("not_logged", 0)
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Says whether a library's line may be written; its kind is its text unformatted."""
        left_out = self._pass((record.name, record.msg))
        if left_out:
            record.msg = f"{record.msg} ({left_out} more were not logged)"
        return left_out is not None

    def _pass(self, kind: Hashable) -> int | None:
        """Answers how many of a kind were left out before this one; None: it is left out too."""
        now = self._clock()
        state = self._kinds.get(kind)
        if state is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            state = self._kinds[kind] = [now, 0, 0]
        if now - state[0] >= 1.0:
            state[0], state[1] = now, 0
        if state[1] >= self._most:
            state[2] += 1
            return None
        state[1] += 1
        left_out, state[2] = state[2], 0
        return int(left_out)
