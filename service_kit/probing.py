"""Finds out whether a service can do its work, for its health."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from grpc_health.v1 import health, health_pb2
from prometheus_client import CollectorRegistry, Gauge

from service_kit import tracing

log = structlog.get_logger()


@dataclass(frozen=True)
class Probe:
    """Says now and then whether the service can do its work.

    Attributes:
        check: Returns if it can; raises with the reason if not.
        interval_s: Seconds between two checks.
        timeout_s: Seconds after which a check that has not returned has failed.
    """

    check: Callable[[], Awaitable[None]]
    interval_s: float = 1.0
    timeout_s: float = 3.0


class HealthOf:
    """Sets the health of several names together, and logs only changes of it or of its reason.

    Args:
        servicer: Answers who asks.
        names: What they ask for.
        registry: Gets a gauge that says the same.
    """

    def __init__(
        self,
        servicer: health.aio.HealthServicer,
        names: Sequence[str],
        registry: CollectorRegistry,
    ) -> None:
        self._servicer = servicer
        self._names = names
        self._serving: bool | None = None
        self._why = ""
        self._gauge = Gauge(
            "imagesearch_serving",
            "1 if the service can do its work: what its health says.",
            registry=registry,
        )

    async def set(self, serving: bool, why: str) -> None:
        """Sets it, for the reason given."""
        if (serving, why) == (self._serving, self._why):
            return
        changed = serving != self._serving
        self._serving, self._why = serving, why
        if changed:
            self._gauge.set(serving)
            status = health_pb2.HealthCheckResponse
            for name in self._names:
                await self._servicer.set(name, status.SERVING if serving else status.NOT_SERVING)
        (log.info if serving else log.warning)("health", serving=serving, why=why)


async def watch(probe: Probe, health_of: HealthOf) -> None:
    """Asks the probe again and again, until it is cancelled."""
    while True:
        tracing.leave()
        try:
            async with asyncio.timeout(probe.timeout_s):
                await probe.check()
        except Exception as error:
            await health_of.set(False, str(error) or type(error).__name__)
        else:
            await health_of.set(True, "can do its work")
        await asyncio.sleep(probe.interval_s)
