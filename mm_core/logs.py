"""How processes log: JSON lines for machines, plain lines for people."""

from __future__ import annotations

import sys

import structlog

from mm_core.spelling import visible


def configure_logs(style: str) -> None:
    """Send every log line to standard output in ``style``, ``json`` or ``plain``."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
    ]
    if style == "plain":
        last: list[structlog.types.Processor] = [
            _visible_texts,
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
        ]
    else:
        last = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )


def _visible_texts(_logger: object, _name: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Keep what clients and files say from beginning lines of their own or steering a terminal."""
    return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}
