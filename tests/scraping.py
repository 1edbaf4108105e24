"""Reads what a service tells Prometheus."""

import asyncio
import urllib.request

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """What one scrape brought.

    Attributes:
        families: As they came.
    """

    def __init__(self, body: str) -> None:
        self.families: list[Metric] = list(text_string_to_metric_families(body))

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series of a name that have these labels; 0 where there is none."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def names(self) -> set[str]:
        """Names of all series there are, or will be once there is something to count."""
        found: set[str] = set()
        for family in self.families:
            suffixes = {
                "counter": ("_total",),
                "histogram": ("_bucket", "_count", "_sum"),
            }.get(family.type, ("",))
            found |= {family.name + suffix for suffix in suffixes}
            found |= {sample.name for sample in family.samples}
        return found

    def labels(self, name: str) -> set[str]:
        """Names of the labels of a series; empty where nothing was counted yet."""
        return {
            label
            for family in self.families
            for sample in family.samples
            if sample.name == name
            for label in sample.labels
        }


async def scrape(port: int) -> Scrape:
    """Asks the service whose metrics are served on a port of this machine."""
    url = f"http://127.0.0.1:{port}/metrics"
    return Scrape(await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode()))
