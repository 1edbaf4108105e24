"""Calls counted and timed by method and code, by the names that go-grpc-prometheus uses.

`grpc_server_handled_total{grpc_service, grpc_method, grpc_type, grpc_code}` and its kin, so that
dashboards and rules written for those fit; on the calling side `grpc_client_…`.
"""

import time
from collections.abc import Iterable
from typing import Literal

import grpc
from google.protobuf import descriptor_pool
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LABELS = ("grpc_service", "grpc_method", "grpc_type")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_TYPES = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi_stream",
}

# Made known from the start: `rate` does not see a series' first step.
_FROM_THE_START = (
    grpc.StatusCode.OK,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
)


def code_label(code: grpc.StatusCode) -> str:
    """The code as Go's gRPC, and with it every ready-made rule, writes it: "InvalidArgument"."""
    return "OK" if code is grpc.StatusCode.OK else code.name.title().replace("_", "")


class MethodMetrics:
    """One method's: bound once, so that a call costs a few additions.

    All calls begin and end on one event loop.
    """

    def __init__(self, all_methods: "CallMetrics", labels: tuple[str, str, str]) -> None:
        self._started = all_methods.started.labels(*labels)
        self._seconds = all_methods.seconds.labels(*labels)
        self._handled = all_methods.handled
        self.labels = labels
        self._codes = {code: self._of_code(code) for code in _FROM_THE_START}
        self._in_flight = 0
        all_methods.in_flight.labels(*labels).set_function(lambda: self._in_flight)

    def begin(self) -> float:
        """Counts a call that begins; answers what `end` must be told."""
        self._started.inc()
        self._in_flight += 1
        return time.perf_counter()

    def end(self, began: float, code: grpc.StatusCode) -> None:
        """Counts a call that ends."""
        self._in_flight -= 1
        self._seconds.observe(time.perf_counter() - began)
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = self._of_code(code)
        counter.inc()

    def _of_code(self, code: grpc.StatusCode) -> Counter:
        return self._handled.labels(*self.labels, code_label(code))


class CallMetrics:
    """All methods'.

    Args:
        registry: Gets them.
        side: Whether the calls are answered or made.
    """

    def __init__(self, registry: CollectorRegistry, side: Literal["server", "client"]) -> None:
        here = f"grpc_{side}"
        self.started = Counter(
            f"{here}_started", "Calls that have begun.", LABELS, registry=registry
        )
        self.handled = Counter(
            f"{here}_handled",
            "Calls that have ended, by code; those that were refused or cancelled too.",
            (*LABELS, "grpc_code"),
            registry=registry,
        )
        self.seconds = Histogram(
            f"{here}_handling_seconds",
            "From a call's begin to its end; of a stream, all of it.",
            LABELS,
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            f"{here}_in_flight", "Calls that have begun and not ended.", LABELS, registry=registry
        )
        self._methods: dict[str, MethodMetrics] = {}

    def expect(self, services: Iterable[str]) -> None:
        """Makes the methods of services known before they are called.

        Args:
            services: Full names; those whose contract is not loaded are passed over.
        """
        for name in services:
            try:
                service = descriptor_pool.Default().FindServiceByName(name)
            except KeyError:
                continue
            for each in service.methods:
                self.of(f"/{name}/{each.name}", each.client_streaming, each.server_streaming)

    def of(self, method: str, client_streaming: bool, server_streaming: bool) -> MethodMetrics:
        """One method's; `method` is its full name, as "/package.Service/Method"."""
        found = self._methods.get(method)
        if found is None:
            service, _, name = method.removeprefix("/").partition("/")
            kind = _TYPES[client_streaming, server_streaming]
            found = self._methods[method] = MethodMetrics(self, (service, name or service, kind))
        return found
