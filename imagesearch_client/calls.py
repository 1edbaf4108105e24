"""How calls are made: with a deadline, the key, and waiting where the server asks for it."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, TypeVar

import grpc

from imagesearch_client.errors import (
    DeadlineError,
    ImageSearchError,
    OverloadedError,
    from_rpc_error,
)

A = TypeVar("A")

_TOKENS = 10.0
_TOKENS_A_SUCCESS = 0.1


class Calls:
    """Makes calls, and turns what they fail with into errors of ours.

    UNAVAILABLE is retried by the channel. RESOURCE_EXHAUSTED with a time to come back is waited for
    here, if that is within the deadline, and while calls on the whole succeed: the budget is
    that of gRPC's retry throttling (gRFC A6), so that retries never add to an overload for long.

    Args:
        timeout_s: Longest for a call whose caller does not say.
        idle_timeout_s: Longest between two messages of a stream.
        metadata: Sent with every call.
    """

    def __init__(
        self, timeout_s: float, idle_timeout_s: float, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        self.metadata = metadata
        self._timeout_s = timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._tokens = _TOKENS

    async def one(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Any, A]",
        request: Any,
        timeout_s: float | None,
    ) -> A:
        """Gives the answer of a call.

        Raises:
            ImageSearchError: It failed.
        """
        end = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                answer: A = await method(request, timeout=left, metadata=self.metadata)
            except grpc.aio.AioRpcError as broken:
                error = from_rpc_error(broken)
                pause_s = self._pause(error, end - time.monotonic())
                if pause_s is None:
                    raise error from broken
                await asyncio.sleep(pause_s)
            else:
                self._tokens = min(_TOKENS, self._tokens + _TOKENS_A_SUCCESS)
                return answer

    def _pause(self, error: ImageSearchError, left_s: float) -> float | None:
        """Seconds after which to try again; None: not at all."""
        if not isinstance(error, OverloadedError) or error.retry_after is None:
            return None
        self._tokens = max(0.0, self._tokens - 1)
        # Not all at once who were refused at once.
        pause_s = error.retry_after / timedelta(seconds=1) * random.uniform(1.0, 1.3)
        return pause_s if self._tokens > _TOKENS / 2 and pause_s < left_s else None

    async def many(
        self,
        method: "grpc.aio.UnaryStreamMultiCallable[Any, A]",
        request: Any,
        timeout_s: float | None,
    ) -> AsyncGenerator[A]:
        """Gives the answers of a call as they come. Leaving the loop cancels the call.

        Args:
            method: The stub's.
            request: What is asked.
            timeout_s: Longest for all answers together; None: only the time between two is bounded.

        Raises:
            ImageSearchError: It failed.
        """
        call: Any = method(request, timeout=timeout_s, metadata=self.metadata)
        try:
            while True:
                async with asyncio.timeout(self._idle_timeout_s):
                    answer = await call.read()
                if answer is grpc.aio.EOF:
                    return
                yield answer
        except grpc.aio.AioRpcError as broken:
            raise from_rpc_error(broken) from broken
        except TimeoutError as late:
            what = f"nothing came on the stream for {self._idle_timeout_s:.3g} s"
            raise DeadlineError(grpc.StatusCode.DEADLINE_EXCEEDED, what) from late
        finally:
            call.cancel()
