"""What commands print: tables for people, JSON for programs, progress where it takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mm_core import strict_json
from mm_core.domain.findings import Finding
from mm_core.spelling import visible

WIDE = 240
"""Columns of a table that goes into a pipe: names are never cut there."""

PROGRESS_AFTER_SECONDS = 1.0


def print_json(document: Any) -> None:
    """Print a document as strict JSON; what is no Unicode, as names on disk may be, is written as escapes."""
    try:
        text = strict_json.encode_for_people(document)
    except UnicodeEncodeError:
        text = strict_json.encode_for_people(_in_unicode(strict_json.plain(document)))
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _in_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_in_unicode(name): _in_unicode(member) for name, member in value.items()}
    return [_in_unicode(member) for member in value] if isinstance(value, list | tuple) else value


def print_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headers, letter by letter; None shows as a hyphen."""
    table = Table(title=_as_it_stands(title), title_justify="left", header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold", justify="right" if header.startswith("#") else "left")
    for row in rows:
        table.add_row(*(_as_it_stands("-" if cell is None else str(cell)) for cell in row))
    _console().print(table)


def print_text(text: str) -> None:
    """Print lines of text letter by letter."""
    for line in text.split("\n"):
        _console().print(_as_it_stands(line), soft_wrap=True)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print findings as a table, errors first; nothing where there are none."""
    if not findings:
        return
    rows = [
        (one.severity, one.code, one.place, one.detail, one.remedy)
        for one in sorted(findings, key=lambda one: (one.severity.rank, one.file, one.line or 0))
    ]
    print_table("Findings", ["severity", "code", "where", "what", "remedy"], rows)


@contextmanager
def shown_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a callback that draws a bar on standard error, once the work has taken a second."""
    started = time.monotonic()
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=None, visible=False)

        def report(done: int, total: int) -> None:
            late = time.monotonic() - started >= PROGRESS_AFTER_SECONDS
            progress.update(task, completed=done, total=total, visible=late)

        yield report


def _as_it_stands(text: str) -> Text:
    """Return text in which rich reads no markup and no emoji, and a terminal no escape sequence."""
    return Text(visible(text))


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)
