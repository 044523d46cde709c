"""How processes log: JSON lines for machines, plain lines for people."""

from __future__ import annotations

import sys

import structlog


def configure_logs(style: str) -> None:
    """Send every log line to standard output in ``style``, ``json`` or ``plain``."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
    ]
    if style == "plain":
        last: list[structlog.types.Processor] = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    else:
        last = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
