"""Rows by feature name become numbers in the order that a booster wants: by name, never by place."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from math import nan
from operator import itemgetter
from typing import Any

from mm_core import strict_json
from mm_core.errors import InvalidRows

Row = Mapping[str, float | None]
"""A number for each feature; None and NaN are missing values."""

MOST_NAMED = 100
"""Problems of one kind that are told one by one."""

_NUMBERS = frozenset([float, int, type(None)])


def decode_rows(data: bytes) -> list[dict[str, float | None]]:
    """Return the rows of a JSON array of objects; raise `InvalidRows` for anything else.

    A feature that stands twice in a row is refused, as readers differ in which of the two numbers they take.
    """
    try:
        rows = strict_json.decode_as(data, list[dict[str, float | None]])
    except strict_json.NotJson as error:
        raise InvalidRows(
            [f"they are no JSON array of objects with a number or null by feature name ({error})"]
        ) from None
    # Values are numbers, so quotes belong to names alone; one that has an escape is looked at more closely.
    if b"\\" in data or data.count(b'"') != 2 * sum(map(len, rows)):
        try:
            json.loads(data, object_pairs_hook=_unique)
        except ValueError as error:
            raise InvalidRows([str(error)]) from None
    return rows


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ValueError(f"feature '{twice[:60]}' stands twice in one row")


def matrix_of(rows: Sequence[Row], names: Sequence[str]) -> tuple[array[float], tuple[str, ...]]:
    """Return the rows' values one after the other, each row in the order of ``names``, and what else rows had.

    Float64; NaN for a missing value. Raises `InvalidRows` that names every feature that is missing from a row, and each
    value that is no number; a feature that is there with None is not missing.
    """
    wanted = frozenset(names)
    pick = itemgetter(*names)
    values: array[float] = array("d")
    missing: dict[str, list[int]] = {}
    extra: dict[str, None] = {}
    wrong: list[str] = []
    for number, row in enumerate(rows):
        if row.keys() != wanted:
            extra.update(dict.fromkeys(name for name in row if name not in wanted))
            absent = [name for name in names if name not in row]
            for name in absent:
                missing.setdefault(name, []).append(number)
            if absent:
                continue
        picked = pick(row) if len(names) > 1 else (pick(row),)
        if not _NUMBERS.issuperset(map(type, picked)):
            wrong += _no_numbers(number, names, picked)
            continue
        before = len(values)
        try:
            values.extend(picked)
        except TypeError:
            del values[before:]
            values.extend(nan if value is None else value for value in picked)
        except OverflowError:
            wrong.append(f"row {number} has a whole number that no float64 holds")
    problems = _missing_sentences(missing, len(rows)) + list(islice(wrong, MOST_NAMED))
    if problems:
        raise InvalidRows(problems, tuple(missing))
    return values, tuple(extra)


def _no_numbers(number: int, names: Sequence[str], picked: Iterable[object]) -> list[str]:
    return [
        f"feature '{name[:60]}' of row {number} is of type {type(value).__name__}, no number"
        for name, value in zip(names, picked, strict=True)
        if type(value) not in _NUMBERS
    ]


def _missing_sentences(missing: Mapping[str, Sequence[int]], rows: int) -> list[str]:
    everywhere = [name for name, numbers in missing.items() if len(numbers) == rows]
    found = []
    if everywhere:
        found.append("missing features: " + ", ".join(f"'{name}'" for name in everywhere))
    for name, numbers in missing.items():
        if len(numbers) != rows:
            found.append(f"feature '{name}' is missing from {len(numbers)} of {rows} rows, first from row {numbers[0]}")
    return found
