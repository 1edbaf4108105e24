"""What the server does, for Prometheus and in the log."""

import time
from collections.abc import Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Gauge, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagesearch_web.problems import ProblemError
from service_kit import request_context, tracing

log = structlog.get_logger()

_PREFIX = "imagesearch_web"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REFUSED = "refused"

BUG = ProblemError(500, "INTERNAL", "this server failed; its log says why")
"""What is said of an error that is nobody's but ours."""


class Observed:
    """Measures and logs requests, and answers for what has a bug.

    Args:
        app: What answers.
        paths: By endpoint; requests that reach none are counted together.
        registry: Gets the metrics.
    """

    def __init__(self, app: ASGIApp, paths: Mapping[Any, str], registry: CollectorRegistry) -> None:
        self._app = app
        self._paths = paths
        self._seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "Requests, until their answer was sent or they were left.",
            ("method", "path", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._running = Gauge(
            f"{_PREFIX}_running_requests", "Requests being answered.", registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request = request_context.begin(headers.items())
        spans = tracing.http()
        if spans is None:
            await self._answer(scope, receive, send, request.request_id)
            return
        with spans.http_request(scope["method"], dict(headers)) as span:
            path, status = await self._answer(scope, receive, send, request.request_id)
            span.update_name(f"{scope['method']} {path}")
            span.set_attributes({"http.route": path, "http.response.status_code": status})

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> tuple[str, int]:
        """Answers a request; says which path it was for, and the status of the answer."""
        status = 0
        began = time.perf_counter()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = (request_context.REQUEST_ID.encode(), request_id.encode())
                message = {**message, "headers": [*message.get("headers", ()), named]}
            await send(message)

        self._running.inc()
        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            log.error("bug", path=scope["path"], exc_info=error)
            if status == 0:
                await BUG.response()(scope, receive, send_noted)
        finally:
            self._running.dec()
            path = self._paths.get(scope.get("endpoint"), _REFUSED)
            # 499 is what servers write down for those who left before there was an answer.
            labels = (scope["method"], path, str(status or 499))
            took = time.perf_counter() - began
            self._seconds.labels(*labels).observe(took)
            log.debug("request", method=labels[0], path=path, status=labels[2], seconds=took)
        return path, status or 499
