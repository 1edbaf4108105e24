"""How a server stops: clients leave, running calls end, and only then it goes."""

import asyncio
from contextlib import suppress

import grpc
from grpc_health.v1 import health

from service_kit.interceptors import InFlight

# Clients that watch health have left when so many looks in a row found no call that had begun.
# Looks, not seconds: a process that gets no time to look gets none to tell its clients either.
_LOOKS, _LOOK_S = 20, 0.05

# The part of the grace, and the most of it in seconds, after which nobody is waited for.
_LEAVING, _LEAVING_S = 0.25, 5.0

# After the last call was answered; its answer may still be on its way.
_SENDING_S = 0.1


async def drain(
    server: grpc.aio.Server,
    status: health.aio.HealthServicer,
    in_flight: InFlight,
    grace_s: float,
) -> None:
    """Ends a server so that no call fails that can be answered in time.

    Args:
        server: The server.
        status: Tells clients to leave.
        in_flight: Knows its calls.
        grace_s: Seconds for all; what is left then is cancelled.
    """
    await status.enter_graceful_shutdown()
    end = asyncio.get_running_loop().time() + grace_s
    # A call that meets a server which has been told to stop ends as CANCELLED, and nobody tries
    # that again: first everybody who watches health must be gone.
    with suppress(TimeoutError):
        async with asyncio.timeout(min(_LEAVING * grace_s, _LEAVING_S)):
            await _deserted(in_flight)
    left_s = max(0.0, end - asyncio.get_running_loop().time())
    stopping = asyncio.create_task(server.stop(left_s))
    with suppress(TimeoutError):
        # Health watchers never end by themselves: wait for the real work only.
        await asyncio.wait_for(in_flight.idle(), left_s)
    await asyncio.wait({stopping}, timeout=_SENDING_S)
    if not stopping.done():  # two stops at a time are only for what does not end by itself
        await server.stop(0)
    await stopping


async def _deserted(in_flight: InFlight) -> None:
    looks, begun = 0, in_flight.begun
    while looks < _LOOKS:
        await asyncio.sleep(_LOOK_S)
        looks = looks + 1 if in_flight.begun == begun else 0
        begun = in_flight.begun
