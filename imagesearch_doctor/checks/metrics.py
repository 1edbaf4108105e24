"""Are the metrics endpoints there that Prometheus is to read."""

import asyncio

import aiohttp

from imagesearch_doctor.findings import Finding, ok, problem
from imagesearch_doctor.system import System

_SUBJECT = "metrics"
_MOST_BYTES = 16 * 1024 * 1024


async def metrics(system: System) -> list[Finding]:
    """Whether each URL that was given serves Prometheus metrics."""
    return list(await asyncio.gather(*(_served(url, system) for url in system.options.metrics)))


async def _served(given: str, system: System) -> Finding:
    url = given if "://" in given else f"http://{given}/metrics"
    timeout = aiohttp.ClientTimeout(total=system.options.timeout_s)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            status, text = answer.status, await answer.content.read(_MOST_BYTES)
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        advice = "set METRICS_LISTEN of that service, and to an address that is reached from here"
        what = f"{url} cannot be read: {error or 'no answer in time'}"
        return problem(_SUBJECT, what, advice)
    families = text.count(b"# TYPE ")
    if status != 200 or not families:
        what = f"{url} gives no metrics: status {status}, {len(text)} bytes"
        return problem(_SUBJECT, what, "give the address of the metrics port")
    return ok(_SUBJECT, f"{url} gives {families} families")
