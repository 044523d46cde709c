"""How processes log: JSON lines for machines, plain lines for people."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TextIO

from mm_core.spelling import visible

_RICH = sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # not to be found, see below
import structlog  # noqa: E402

if _RICH is None:
    del sys.modules["rich"]
"""Structlog imports rich for tracebacks in colours, which none of ours has; it takes an eighth of the imports' time."""

get_logger = structlog.get_logger
"""A logger by its name; whatever it says goes where `configure_logs` sent it."""


def configure_logs(style: str) -> None:
    """Send every log line to standard output in ``style``, ``json`` or ``plain``."""
    shared: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    if style == "plain":
        last: list[structlog.types.Processor] = [
            _visible_texts,
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    else:
        last = [structlog.processors.ExceptionRenderer(_TRACEBACKS), structlog.processors.JSONRenderer(_as_json)]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=structlog.WriteLoggerFactory(file=_Output(sys.stdout)),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


class _Output:
    """Where log lines go; one that cannot be written, as on a full disk or to a reader that ended, is lost.

    Whoever logs has something else to do: to answer a request, to watch files.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write a line where that can be done."""
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Let what was written go on its way where that can be done."""
        with suppress(OSError):
            self._file.flush()


_TRACEBACKS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Without the values of variables: one of them may be the write token."""

_ENCODER = json.JSONEncoder(default=repr)
"""Made once: `json.dumps` makes one for each line where there is a ``default``, which takes longer than the line."""


def _as_json(event: structlog.types.EventDict, **_: object) -> str:
    return _ENCODER.encode(event)


def _visible_texts(_logger: object, _name: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Keep what clients and files say from beginning lines of their own or steering a terminal."""
    return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}
