"""Columns pasted from a sheet, CSV files and JSON documents as cells of a draft."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mm_core import strict_json
from mm_core.dashboard.editor.drafts import FIELDS, Cell, Cells, cells_of, number_problem, parse_number
from mm_core.domain.configs import FILES_DIGEST, SAME_FOR_ALL, Defaults, files_digest_of, parse_factor_config
from mm_core.errors import InvalidFactorConfig

NAME_HEADERS = {"factor", "factor_name", "factor_names", "name"}
HEADERS = {
    "mean": "mean",
    "mean_values": "mean",
    "variance": "variance",
    "variance_values": "variance",
    "var": "variance",
}
DELIMITERS = "\t;,|"
"""Semicolons before commas: where both stand, the commas are decimal ones."""

OTHER_FILES = (
    "The files of this version were replaced since this was read, and all its old numbers would be set over theirs. "
    f"Download the present config and edit that, or leave '{FILES_DIGEST}' out to take all of them."
)

Lines = list[tuple[int, list[str]]]

_ONE_NUMBER = re.compile(
    r"""
    [+-]?
    (?: (?: \d* | [1-9]\d{0,2} (?:\.\d{3})+ ) (?: ,\d+ )?   # 0,5 and 1.234,5
      | [1-9]\d{0,2} (?:,\d{3})+ (?: \.\d* )?               # 1,234 and 1,234.5
      | \d+ \.\d* | \.\d+
    )
    (?: [eE][+-]?\d+ )?
    """,
    re.VERBOSE,
)
"""Whatever people somewhere write as one number, with commas before decimals or between thousands."""


class _Layout(NamedTuple):
    """What lines are: which column holds what, or why that cannot be told.

    No line may be wider than ``width``; ``lines`` are those without a header. ``doubt`` is why they may be something
    else as well.
    """

    width: int
    columns: dict[str, int]
    lines: Lines
    problem: str | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a text gave: ``cells`` to type, or ``problems`` with their lines; with a problem there are no cells."""

    cells: Cells
    problems: tuple[str, ...]


def read_columns(text: str, factor_names: Sequence[str], defaults: Defaults = SAME_FOR_ALL) -> Pasted:
    """Read lines of ``factor, mean, variance``, or two columns of numbers in the model's order.

    Columns are parted by tabs, commas, semicolons or bars. A header may name them (``factor``, ``mean``, ``variance``
    in any order, others are ignored); then one of the two numbers may be left out. Named factors may be some of the
    model's, bare numbers must be as many as its dimensions. A decimal comma never parts a number in two: no line may be
    wider than the first, and commas part bare numbers only where one line at least cannot be a single number; behind
    factors' names and below a header they part columns. Every problem is returned, with its line.
    """
    try:
        layout = _layout(text.removeprefix("\ufeff"))
    except csv.Error as error:
        return Pasted({}, (f"This cannot be read as columns: {error}. Check its quotes.",))
    if layout.problem is not None:
        return Pasted({}, (layout.problem,))
    width, columns, lines = layout.width, layout.columns, layout.lines
    named = "factor" in columns
    if not named and len(lines) != len(factor_names):
        return Pasted(
            {},
            (
                f"{len(lines)} lines of numbers cannot fill {len(factor_names)} dimensions. "
                "Give every dimension a line, or name the factors in the first column.",
            ),
        )
    if layout.doubt is not None:
        return Pasted({}, (layout.doubt,))
    cells: Cells = {}
    problems: list[str] = []
    known, seen = set(factor_names), dict[str, int]()
    for place, (number, row) in enumerate(lines):
        name = _at(row, columns["factor"]) if named else factor_names[place]
        if name not in known:
            problems.append(f"Line {number}: '{name[:128]}' is no factor of this model.")
        elif name in seen:
            problems.append(f"Line {number}: '{name}' stands in line {seen[name]} already.")
        seen.setdefault(name, number)
        if _width(row) > width:
            problems.append(
                f"Line {number} has {_width(row)} columns, the first line {width}. Write numbers with a point, and "
                "names with commas in quotes."
            )
            continue
        for which in FIELDS:
            if which in columns:
                value = _at(row, columns[which])
                why = number_problem(value, which, name, defaults)
                if why is not None:
                    problems.append(f"Line {number}: {which} {why}")
                cells[Cell(name, which)] = value
    return Pasted({}, tuple(problems)) if problems else Pasted(cells, ())


def read_json(data: bytes, subject: str, factor_names: Sequence[str], defaults: Defaults = SAME_FOR_ALL) -> Pasted:
    """Read ``{subject: {factor_names, mean_values, variance_values}}`` as every cell of the model.

    One of a version that says it was read from other files than those of ``defaults`` is a problem.
    """
    try:
        document = strict_json.decode(data.removeprefix(codecs.BOM_UTF8))
        if defaults.are_in_files and files_digest_of(document, subject) not in (None, defaults.digest):
            return Pasted({}, (OTHER_FILES,))
        return Pasted(cells_of(parse_factor_config(document, subject, factor_names, defaults)), ())
    except strict_json.NotJson as error:
        return Pasted({}, (f"This is not JSON: {error}. Download the present config to see its form.",))
    except InvalidFactorConfig as error:
        return Pasted({}, error.problems)


def read_file(data: bytes, subject: str, factor_names: Sequence[str], defaults: Defaults = SAME_FOR_ALL) -> Pasted:
    """Read an uploaded file: JSON where it begins with a brace, else columns."""
    if data.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{":
        return read_json(data, subject, factor_names, defaults)
    try:
        return read_columns(data.decode("utf-8-sig"), factor_names, defaults)
    except UnicodeDecodeError:
        return Pasted({}, ("The file is not UTF-8 text. Save it as CSV (UTF-8) or JSON.",))


def _layout(text: str) -> _Layout:
    """Return what the lines of a text are, by the first delimiter that makes sense of the first line."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    marks = [mark for mark in DELIMITERS if mark in first] or [","]
    layouts = (_columns(_rows(text, mark), mark) for mark in marks)
    return next((layout for layout in layouts if layout.problem is None), _columns(_rows(text, marks[0]), marks[0]))


def _rows(text: str, delimiter: str) -> Lines:
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    rows, number = [], 1
    for row in reader:
        if _width(row):
            rows.append((number, row))
        number = reader.line_num + 1  # where the next row begins, as a quoted cell may hold line feeds
    return rows


def _columns(lines: Lines, mark: str) -> _Layout:
    if not lines:
        return _Layout(0, {}, [], "There is no line with a value. Paste factor, mean and variance.")
    (number, row), rest = lines[0], lines[1:]
    width, header = _width(row), [cell.strip().lower() for cell in row]
    found = [(HEADERS[name], at) for at, name in enumerate(header) if name in HEADERS]
    names = [at for at, name in enumerate(header) if name in NAME_HEADERS]
    numbers = [_like_number(cell) for cell in header[:width]]
    if (found or names) and numbers != [False, True, True]:  # that would be a factor of such a name
        columns = dict(found)
        if not found:
            return _Layout(width, {}, [], f"Line {number}: the header names neither mean nor variance.")
        if len(columns) < len(found):
            return _Layout(width, {}, [], f"Line {number}: the header names mean or variance twice.")
        if not rest:
            return _Layout(width, {}, [], f"Line {number} is a header, and no line follows it.")
        widest = width if mark == "," else len(row)  # between commas, a column without a name would take decimals
        return _Layout(widest, columns | ({"factor": names[0]} if names else {}), rest)
    if numbers == [True, True]:
        return _Layout(width, {"mean": 0, "variance": 1}, lines, doubt=_doubt(lines) if mark == "," else None)
    if width == 3 and not numbers[0]:
        return _Layout(width, {"factor": 0, "mean": 1, "variance": 2}, lines)
    return _Layout(
        width,
        {},
        [],
        f"Line {number} has {width} column(s). Paste factor, mean and variance, or mean and variance for every "
        "dimension, or begin with a header that names the columns.",
    )


def _doubt(lines: Lines) -> str | None:
    """Return what to ask where commas may be in numbers as well as between them, None where one line tells."""
    texts = [",".join(row[: _width(row)]).strip() for _, row in lines]
    if not all(_ONE_NUMBER.fullmatch(text) for text in texts):
        return None
    return (
        f"Line {lines[0][0]}: '{texts[0][:40]}' may be one number or two, and so may every line. Write numbers with a "
        "point and nothing between thousands; part two columns by tabs or semicolons, or begin with a header: "
        "mean,variance."
    )


def _width(row: Sequence[str]) -> int:
    """Return the number of cells up to the last one with a value."""
    return max((at for at, cell in enumerate(row, 1) if cell.strip()), default=0)


def _like_number(text: str) -> bool:
    return parse_number(text.replace(",", ".")) is not None


def _at(row: Sequence[str], column: int) -> str:
    return row[column].strip() if column < len(row) else ""
