"""Traces by OpenTelemetry, where it is installed and switched on; elsewhere nothing happens.

The standard variables switch it on: OTEL_EXPORTER_OTLP_ENDPOINT or
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, with OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_TRACES_SAMPLER and the
others that the SDK reads. Nothing of OpenTelemetry is imported before that.

A program that uses our client and traces itself needs none of this: its calls carry its trace.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from service_kit.interceptors import Around
    from service_kit.spans import Spans

Attributes = Mapping[str, str | int | float | bool]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_NOTHING: AbstractContextManager[None] = nullcontext()


class TracingError(Exception):
    """Traces are asked for and cannot be had; the message says why."""


class Waiting(Protocol):
    """A wait for work that is done for several callers together."""

    def end(self) -> None:
        """It is over, with the work or without. Ending again does nothing."""


class Batch(Protocol):
    """Work that is done for several callers together."""

    def enter(self) -> None:
        """Makes what the current task does from now on a part of it."""

    def end(self) -> None:
        """It is done."""


class _Untraced:
    def enter(self) -> None:
        pass

    def end(self) -> None:
        pass


_UNTRACED = _Untraced()

_on: "Spans | None" = None
_of_program: "Spans | None" = None


def wanted() -> bool:
    """Whether the environment asks for traces."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower()
    named = any(os.environ.get(name) for name in _ENDPOINTS)
    return named and exporter == "otlp" and not disabled


@contextmanager
def exporting(service: str) -> Iterator[None]:
    """Traces, and exports what is traced, until the block ends, if the environment asks for it.

    Args:
        service: What the spans' service is called unless OTEL_SERVICE_NAME says.

    Raises:
        TracingError: It is asked for, and OpenTelemetry is not installed.
    """
    if not wanted():
        yield
        return
    try:
        from service_kit import span_export

        provider = span_export.begin(service)
    except ImportError as error:
        what = f"traces need the extra imagesearch[tracing] ({error}); or unset {_ENDPOINTS[0]}"
        raise TracingError(what) from error
    switch_on()
    try:
        yield
    finally:
        switch_off()
        span_export.end(provider)


def switch_on() -> None:
    """Traces from now on, by the program's tracer provider. Servers ask when they start."""
    from service_kit.spans import Spans

    global _on
    _on = Spans()
    _on.stand_apart()


def switch_off() -> None:
    """Traces no longer."""
    global _on
    _on = None


def around() -> "Sequence[Around]":
    """What goes around every call of a server: nothing, or the span of the call."""
    return () if _on is None else (_on.around,)


def of_calls() -> "Spans | None":
    """What traces calls to other services; None: nothing does.

    Also where only the program around us traces: it has imported OpenTelemetry then.
    """
    if _on is not None:
        return _on
    if "opentelemetry.trace" not in sys.modules:
        return None
    global _of_program
    if _of_program is None:
        from service_kit.spans import Spans

        _of_program = Spans()
    return _of_program


def http() -> "Spans | None":
    """What traces requests over HTTP; None: nothing does."""
    return _on


def span(name: str, attributes: Attributes | None = None) -> AbstractContextManager[object]:
    """A step of the call being answered, while the block runs; nothing where it is not traced.

    Never put images, texts, keys or whole URLs into attributes.
    """
    return _NOTHING if _on is None else _on.step(name, attributes)


def waiting(name: str) -> Waiting | None:
    """Begins the wait of the current call for work that is done for several together."""
    return None if _on is None else _on.waiting(name)


def batch(
    name: str, waits: Sequence[Waiting | None], attributes: Attributes | None = None
) -> Batch:
    """Begins work for all who wait, whose waits are over.

    The work is a part of the first one's trace, and linked with the waits of all the others.
    """
    return _UNTRACED if _on is None else _on.batch(name, waits, attributes)


def apart() -> Context:
    """A context for a task that outlives the call it begins in: what it does is not traced."""
    context = copy_context()
    if _on is not None:
        context.run(_on.stand_apart)
    return context


def leave() -> None:
    """What the current task does from now on is no part of a trace, and begins none."""
    if _on is not None:
        _on.stand_apart()


def ids() -> tuple[str, str] | None:
    """Ids of the current trace and span, in hexadecimal; None where nothing is traced."""
    return None if _on is None else _on.ids()
