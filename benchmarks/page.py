"""The page's first view and first results in Chromium: bytes, requests, time to paint.

A gateway, the page's server and a browser on this machine; nothing is in the browser's cache.
"""

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.report import Bar, Report, parser

BEYOND_GATEWAY_MS = 300.0
RUNS, QUICK_RUNS = 15, 5

# When the first thumbnail of the results was painted, by the browser's own clock.
_PAINTED = """
() => new Promise((resolve) => {
    const poll = () => {
        const image = document.querySelector("#results .tile img");
        if (image?.complete && image.naturalWidth) requestAnimationFrame(() => resolve(performance.now()));
        else setTimeout(poll, 2);
    };
    poll();
})
"""

# Resources with their sizes as sent, and the navigation itself.
_LOADED = """
() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .map((e) => ({ name: new URL(e.name).pathname, bytes: e.transferSize, ms: e.duration }))
"""

_PAINTS = """
() => Object.fromEntries(performance.getEntriesByType("paint").map((e) => [e.name, e.startTime]))
"""
