"""``_ic.csv``: the information coefficient of factors as a table."""

from __future__ import annotations

import csv
import io
import math

from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.text import decode_text
from mm_core.domain.factors import IcTable
from mm_core.errors import UnreadableArtifact

COLUMNS = ("symbol", "factor_name", "return_name", "Kendall_tau")


def read_ic(data: bytes, report: FileReport) -> IcTable:
    """Return the rows of a CSV with the columns `COLUMNS`; further columns are kept as text.

    A row with another number of cells is left out, a tau that is no finite number becomes None: both are findings
    with their line. Raises `UnreadableArtifact` for text that is no CSV and for a header without the columns.
    """
    reader = csv.reader(io.StringIO(decode_text(data), newline=""), strict=True)
    try:
        header = next(reader, None)
        if not header:
            raise UnreadableArtifact("ic-header", "The file is empty.", f"Write the header {','.join(COLUMNS)}.")
        names = [name.strip() for name in header]
        places = _places(names)
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UnreadableArtifact(
            "bad-csv", f"The text is no CSV ({error}).", "Write the table again, quoted where needed.", reader.line_num
        ) from error
    whole = []
    for line, row in rows:
        if len(row) == len(names):
            whole.append((line, row))
        else:
            report.warn(
                "bad-row",
                f"The row has {len(row)} cells, the header {len(names)}; it is left out.",
                "Write the row again, or wait for the run that is writing the file.",
                line,
            )
    symbol, factor, return_name, tau = (places[name] for name in COLUMNS)
    extra = {name: place for name, place in places.items() if name not in COLUMNS}
    _report_duplicates([(line, row[symbol], row[factor], row[return_name]) for line, row in whole], report)
    return IcTable(
        symbols=tuple(row[symbol].strip() for _, row in whole),
        factor_names=tuple(row[factor].strip() for _, row in whole),
        return_names=tuple(row[return_name].strip() for _, row in whole),
        taus=tuple(parse_tau(row[tau], report, line) for line, row in whole),
        extra={name: tuple(row[place] for _, row in whole) for name, place in extra.items()},
    )


def parse_tau(cell: str, report: FileReport, line: int | None) -> float | None:
    """Return a cell as a Kendall tau, None with a finding where it is no finite number."""
    try:
        value = float(cell)
    except ValueError:
        report.warn("bad-number", f"Kendall_tau is {cell[:40]!r}, not a number.", "Write a number in [-1, 1].", line)
        return None
    if not math.isfinite(value):
        report.warn("not-finite", f"Kendall_tau is {value}.", "Leave out factors that never vary.", line)
        return None
    if not -1 <= value <= 1:
        report.warn("tau-out-of-range", f"Kendall_tau is {value}, outside [-1, 1].", "Compute it again.", line)
    return value


def _places(names: list[str]) -> dict[str, int]:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UnreadableArtifact(
            "ic-header", f"The header has no column {', '.join(missing)}.", f"Write the header {','.join(COLUMNS)}.", 1
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableArtifact(
            "ic-header", f"The header names {', '.join(twice)} twice.", "Give every column a name of its own.", 1
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
