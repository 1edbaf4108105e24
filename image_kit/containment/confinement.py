"""Gives up, in a decoding process, all that decoding does not need."""

import math
import resource
import sys
from pathlib import Path

from image_kit.containment import landlock, seccomp

_OPEN_FILES = 48


def confine(memory_bytes: int) -> list[str]:
    """Gives up, for good, what decoding does not need; names what the system let be given up.

    To be called when all is loaded, with one thread running.
    """
    done = ["limits"]
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if (used := _address_space()) is not None:
        _lower(resource.RLIMIT_AS, used + memory_bytes)
        done.append("memory")
    if landlock.only_read(_libraries()):
        done.append("files")
    if seccomp.forbid_network_and_programs():
        done.append("network")
    return done


def allow_seconds(seconds: float) -> None:
    """Lets this process have so much more of a processor; the system kills it beyond."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _lower(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def _address_space() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux: there the limit does not hold either
        return None
    return pages * resource.getpagesize()


def _libraries() -> list[str]:
    """Where modules may still be loaded from, and what the C library reads."""
    system = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/dev/null")
    return [*filter(None, sys.path), sys.prefix, sys.base_prefix, *system]
