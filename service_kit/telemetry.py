"""Logs: one JSON object a line on standard error, constant events, values as fields."""

import logging
import sys
from typing import Any

import structlog

from service_kit import request_context, tracing
from service_kit.log_throttle import Throttle


def configure_logging(level: str, fmt: str, service: str) -> None:
    """Sends our own and the libraries' log lines through one formatter.

    Args:
        level: Least severe level written, e.g. "INFO". Libraries write from WARNING up.
        fmt: "json" or "console".
        service: Name put on every line.
    """

    def named(
        logger: Any, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        # Not a context variable: threads have none of ours.
        event.setdefault("service", service)
        return event

    shared: list[structlog.typing.Processor] = [
        named,
        structlog.contextvars.merge_contextvars,
        tied,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    end: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, renderer]
    add_level = structlog.processors.add_log_level
    throttle = Throttle()
    structlog.configure(
        # First what may leave the line out: then the rest is not done for nothing.
        processors=[add_level, throttle.processor, *shared, *end],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(throttle.filter)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[add_level, *shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *end],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def tied(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Adds what finds the lines of one request in all services: its id, its trace, its span."""
    if identity := request_context.request_id():
        event.setdefault("request_id", identity)
    if ids := tracing.ids() or request_context.trace_ids():
        event["trace_id"], event["span_id"] = ids
    return event
