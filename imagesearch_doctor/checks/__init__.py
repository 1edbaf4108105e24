"""The checks. One more is a function in a module of its topic, and a line in `ALL`."""

from collections.abc import Awaitable, Callable, Mapping

from imagesearch_doctor.checks import (
    access,
    elasticsearch,
    fetching,
    indexes,
    limits,
    metrics,
    models,
    probing,
    reaching,
    serving,
    storing,
    versions,
)
from imagesearch_doctor.findings import Finding
from imagesearch_doctor.system import System

Check = Callable[[System], Awaitable[list[Finding]]]

ALL: Mapping[str, Check] = {
    "connections": reaching.connections,
    "health": serving.health,
    "parts": serving.parts,
    "answers": serving.answers,
    "access": access.access,
    "reflection": serving.reflection,
    "versions": versions.versions,
    "clocks": versions.clocks,
    "distances": versions.distances,
    "models": models.models,
    "limits": limits.limits,
    "elasticsearch": elasticsearch.cluster,
    "elasticsearch, directly": elasticsearch.direct,
    "index": indexes.index,
    "space": models.spaces,
    "counts": indexes.counts,
    "store": storing.store,
    "contents": storing.contents,
    "URL fetch": fetching.url_fetch,
    "metrics": metrics.metrics,
    "probe": probing.probe,
}
"""Every check by its name, in the order in which they are told."""
