"""``_ic.csv``: the information coefficient of factors as a table."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from mm_core.artifacts.readers.names import is_name, warn_of_look_alikes
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.text import decode_text
from mm_core.domain.factors import IcTable
from mm_core.errors import UnreadableArtifact
from mm_core.spelling import visible

COLUMNS = ("symbol", "factor_name", "return_name", "Kendall_tau")

MOST_COLUMNS = 256
MOST_ROWS = 500_000
LONGEST_LINE = 1 << 20
"""Characters of a row, however many lines it has between quotes: its cells take many times their length."""

_REMEDY = "Write the table again, quoted where needed."
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_Row = tuple[int, list[str]]


def read_ic(data: bytes, report: FileReport) -> IcTable:
    """Return the rows of a CSV with the columns `COLUMNS`; further columns are kept as text.

    A row with another number of cells or with a name that cannot be one is left out, a tau that is no finite number
    becomes None: both are findings with their line. Raises `UnreadableArtifact` for text that is no CSV, for a header
    without the columns, and above `MOST_COLUMNS`, `MOST_ROWS` and `LONGEST_LINE`.
    """
    rows = _rows(decode_text(data))
    _, header = next(rows, (1, []))
    if not header:
        raise UnreadableArtifact("ic-header", "The file is empty.", f"Write the header {','.join(COLUMNS)}.")
    names = [name.strip() for name in header]
    places = _places(names)
    named = {places["symbol"]: "Symbol", places["factor_name"]: "Factor", places["return_name"]: "Return"}
    whole: list[_Row] = []
    for number, (line, row) in enumerate(rows, 1):
        if number > MOST_ROWS:
            raise UnreadableArtifact(
                "too-many-rows",
                f"The table has more than {MOST_ROWS:,} rows.",
                "Check that it is the right file.",
                line,
            )
        if len(row) != len(names):
            report.warn(
                "bad-row",
                f"The row has {len(row)} cells, the header {len(names)}; it is left out.",
                "Write the row again, or wait for the run that is writing the file.",
                line,
            )
        elif (place := _hidden_name(row, named)) is not None:
            report.warn(
                "bad-row",
                f"{named[place]} '{row[place][:60]}' has characters that nobody sees, or too many; "
                "the row is left out.",
                "Write the name as the factor list and the bot spell it.",
                line,
            )
        else:
            whole.append((line, row))
    symbol, factor, return_name, tau = (places[name] for name in COLUMNS)
    extra = {name: place for name, place in places.items() if name not in COLUMNS}
    _report_duplicates([(line, row[symbol], row[factor], row[return_name]) for line, row in whole], report)
    return IcTable(
        symbols=tuple(row[symbol].strip() for _, row in whole),
        factor_names=tuple(row[factor].strip() for _, row in whole),
        return_names=tuple(row[return_name].strip() for _, row in whole),
        taus=tuple(parse_tau(row[tau], report, line) for line, row in whole),
        extra={name: tuple(visible(row[place]) for _, row in whole) for name, place in extra.items()},
    )


def parse_tau(cell: str, report: FileReport, line: int | None) -> float | None:
    """Return a cell as a Kendall tau, None with a finding where it is no finite number."""
    try:
        value = float(cell) if cell.isascii() and "_" not in cell else None
    except ValueError:
        value = None
    if value is None:
        report.warn("bad-number", f"Kendall_tau is {cell[:40]!r}, not a number.", "Write a number in [-1, 1].", line)
        return None
    if not math.isfinite(value):
        report.warn("not-finite", f"Kendall_tau is {value}.", "Leave out factors that never vary.", line)
        return None
    if not -1 <= value <= 1:
        report.warn("tau-out-of-range", f"Kendall_tau is {value}, outside [-1, 1].", "Compute it again.", line)
    return value


def _hidden_name(row: list[str], places: Iterable[int]) -> int | None:
    """Return the first of some places of a row whose text can be no name."""
    return next((place for place in places if row[place].strip() and not is_name(row[place].strip())), None)


def _rows(text: str) -> Iterator[_Row]:
    """Yield rows that are not blank, each with the line it begins in; raise `UnreadableArtifact` for what is no CSV."""
    lines = _Lines(text)
    reader = csv.reader(lines, strict=True)
    while True:
        line = reader.line_num + 1
        lines.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UnreadableArtifact("bad-csv", f"The text is no CSV ({error}).", _REMEDY, line) from error
        if row:
            yield line, row


class _Lines:
    """The lines of a text one after the other; refuses rows above `LONGEST_LINE` before they are made into cells."""

    def __init__(self, text: str) -> None:
        self._matches = enumerate(_LINE.finditer(text), 1)
        self._row_begin = self._end = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        number, match = next(self._matches)
        self._end = match.end()
        if self._end - self._row_begin > LONGEST_LINE:
            raise UnreadableArtifact(
                "bad-csv",
                f"The row has {self._end - self._row_begin:,} characters or more, at most {LONGEST_LINE:,} are read.",
                _REMEDY,
                number,
            )
        return match[0]

    def begin_row(self) -> None:
        """Count from here on."""
        self._row_begin = self._end


def _places(names: list[str]) -> dict[str, int]:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UnreadableArtifact(
            "ic-header", f"The header has no column {', '.join(missing)}.", f"Write the header {','.join(COLUMNS)}.", 1
        )
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise UnreadableArtifact(
            "ic-header", f"The header names '{twice[0][:60]}' twice.", "Give every column a name of its own.", 1
        )
    if len(names) > MOST_COLUMNS:
        raise UnreadableArtifact(
            "ic-header",
            f"The header has {len(names):,} columns, at most {MOST_COLUMNS} are read.",
            f"Write {','.join(COLUMNS)} and what else belongs to a factor.",
            1,
        )
    hidden = next((name for name in names if name and not is_name(name)), None)
    if hidden is not None:
        raise UnreadableArtifact(
            "ic-header",
            f"The header names '{hidden[:60]}': characters that nobody sees, or too many.",
            "Give every column a plain name.",
            1,
        )
    return {name: place for place, name in enumerate(names)}


def _report_duplicates(rows: list[tuple[int, str, str, str]], report: FileReport) -> None:
    first_line: dict[tuple[str, str, str], int] = {}
    for line, *cells in rows:
        key = (cells[0].strip().casefold(), cells[1].strip(), cells[2].strip())
        if key in first_line:
            report.warn(
                "duplicate-factor",
                f"Factor '{key[1]}' stands in line {first_line[key]} already, for the same symbol and return; "
                "the first one counts.",
                "Remove one of the rows.",
                line,
            )
        else:
            first_line[key] = line
            warn_of_look_alikes("Factor", key[1], report, line)
