"""Columns pasted from a sheet, CSV files and JSON documents as cells of a draft."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from mm_core import strict_json
from mm_core.dashboard.editor.drafts import FIELDS, Cell, Cells, cells_of, number_problem, parse_number
from mm_core.domain.configs import parse_factor_config
from mm_core.errors import InvalidFactorConfig

NAME_HEADERS = {"factor", "factor_name", "factor_names", "name"}
HEADERS = {
    "mean": "mean",
    "mean_values": "mean",
    "variance": "variance",
    "variance_values": "variance",
    "var": "variance",
}
DELIMITERS = "\t,;|"


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a text gave: ``cells`` to type, or ``problems`` with their lines; with a problem there are no cells."""

    cells: Cells
    problems: tuple[str, ...]


def read_columns(text: str, factor_names: Sequence[str]) -> Pasted:
    """Read lines of ``factor, mean, variance``, or two columns of numbers in the model's order.

    Columns are parted by tabs, commas, semicolons or bars. A header may name them (``factor``, ``mean``, ``variance``
    in any order, others are ignored); then one of the two numbers may be left out. Named factors may be some of the
    model's, bare numbers must be as many as its dimensions. Every problem is returned, with its line.
    """
    lines = [(number, row) for number, row in enumerate(_rows(text), 1) if any(cell.strip() for cell in row)]
    if not lines:
        return Pasted({}, ("There is no line with a value. Paste factor, mean and variance.",))
    columns, lines, problem = _columns(lines)
    if problem is not None:
        return Pasted({}, (problem,))
    named = "factor" in columns
    if not named and len(lines) != len(factor_names):
        return Pasted(
            {},
            (
                f"{len(lines)} lines of numbers cannot fill {len(factor_names)} dimensions. "
                "Give every dimension a line, or name the factors in the first column.",
            ),
        )
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
        for which in FIELDS:
            if which in columns:
                value = _at(row, columns[which])
                why = number_problem(value, which)
                if why is not None:
                    problems.append(f"Line {number}: {which} {why}")
                cells[Cell(name, which)] = value
    return Pasted({}, tuple(problems)) if problems else Pasted(cells, ())


def read_json(data: bytes, symbol: str, factor_names: Sequence[str]) -> Pasted:
    """Read ``{symbol: {factor_names, mean_values, variance_values}}`` as every cell of the model."""
    try:
        document = strict_json.decode(data)
        return Pasted(cells_of(parse_factor_config(document, symbol, factor_names)), ())
    except strict_json.NotJson as error:
        return Pasted({}, (f"This is not JSON: {error}. Download the present config to see its form.",))
    except InvalidFactorConfig as error:
        return Pasted({}, error.problems)


def read_file(data: bytes, symbol: str, factor_names: Sequence[str]) -> Pasted:
    """Read an uploaded file: JSON where it begins with a brace, else columns."""
    if data.lstrip()[:1] == b"{":
        return read_json(data, symbol, factor_names)
    try:
        return read_columns(data.decode("utf-8-sig"), factor_names)
    except UnicodeDecodeError:
        return Pasted({}, ("The file is not UTF-8 text. Save it as CSV (UTF-8) or JSON.",))


def _rows(text: str) -> list[list[str]]:
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = next((mark for mark in DELIMITERS if mark in first), ",")
    return [list(row) for row in csv.reader(io.StringIO(text), delimiter=delimiter)]


def _columns(
    lines: list[tuple[int, list[str]]],
) -> tuple[dict[str, int], list[tuple[int, list[str]]], str | None]:
    """Return which column holds what, the lines without a header, and why it cannot be told."""
    header = [cell.strip().lower() for cell in lines[0][1]]
    columns = {HEADERS[name]: at for at, name in enumerate(header) if name in HEADERS}
    names = [at for at, name in enumerate(header) if name in NAME_HEADERS]
    columns |= {"factor": names[0]} if names else {}
    if columns:
        if not columns.keys() & set(FIELDS):
            return {}, [], f"Line {lines[0][0]}: the header names neither mean nor variance."
        return columns, lines[1:], None
    width = len(header)
    first_is_number = parse_number(header[0]) is not None
    if first_is_number and width == 2:
        return {"mean": 0, "variance": 1}, lines, None
    if not first_is_number and width == 3:
        return {"factor": 0, "mean": 1, "variance": 2}, lines, None
    return (
        {},
        [],
        f"Line {lines[0][0]} has {width} column(s). Paste factor, mean and variance, or mean and variance for every "
        "dimension, or begin with a header that names the columns.",
    )


def _at(row: Sequence[str], column: int) -> str:
    return row[column].strip() if column < len(row) else ""
