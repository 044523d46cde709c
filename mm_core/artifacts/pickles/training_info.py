"""``_info.pkl``: the known keys of a pickled dict as plain data that JSON can say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from mm_core.artifacts.pickles.decode_values import new_decoding
from mm_core.artifacts.pickles.decoding import UNSUPPORTED, Decoding
from mm_core.artifacts.pickles.interpreter import read_pickle
from mm_core.artifacts.pickles.nodes import Call, Pairs, PickleLimits
from mm_core.artifacts.pickles.refusals import unsupported

INFO_LIMITS = PickleLimits(file_bytes=64 << 20)

IMPORTANCES = ("importance", "feature_importance", "total_gain", "gain", "score", "weight")
"""What the column of importances is called, the surest name first."""

NO_IMPORTANCES = frozenset({"index", "level_0", "unnamed: 0", "rank"})
"""Columns of numbers that a table of importances has beside them."""

_DICTS = frozenset(["builtins.dict", "collections.OrderedDict", "collections.defaultdict"])


@dataclass(frozen=True, slots=True)
class InfoValues:
    """The values of a training info, and what was wrong with them as pairs of key and detail.

    A key is in ``values`` only when the file has it, its value is not missing and its type is the contract's:
    ``train_window`` a pair of integers, dates ISO text, counts integers, ``train_time`` seconds, ``selected_factors`` a
    tuple of names, ``config`` a dict, ``feature_importance`` a dict from name to number, ``ic_df`` a list of rows.
    """

    values: dict[str, object]
    problems: tuple[tuple[str, str], ...]


class _WrongType(Exception):
    """A value is not of the type that its key wants; the text says what it is."""


def read_info(data: bytes) -> InfoValues:
    """Return what a pickled training info says, without running the pickle.

    Raises `UnreadableArtifact` for bytes that are no pickle or no dict, and for files that are unsafe or too large.
    """
    node = read_pickle(data, INFO_LIMITS)
    decoding = new_decoding(INFO_LIMITS)
    values: dict[str, object] = {}
    problems: list[tuple[str, str]] = []
    plain: dict[str, object] = {}
    for key, content in _entries_of(node):
        if not isinstance(key, str) or key not in _KEYS:
            continue
        decoding.forget_problems()
        plain[key] = decoding.plain(content)
        problems.extend((key, detail) for detail in _losses(decoding))
    for key, value in plain.items():
        if value is None:
            continue
        try:
            values[key], detail = _KEYS[key](value, plain)
        except _WrongType as error:
            detail = str(error)
        if detail:
            problems.append((key, detail))
    return InfoValues(values, tuple(problems))


def _entries_of(node: object) -> list[tuple[object, object]]:
    if isinstance(node, Pairs):
        return node.entries
    if isinstance(node, Call) and node.path in _DICTS:
        return node.pairs
    raise unsupported("The pickle holds something else than a dict.")


def _losses(decoding: Decoding) -> list[str]:
    losses = []
    if decoding.not_finite:
        losses.append(f"{decoding.not_finite} number(s) are not finite; they count as missing.")
    if decoding.unsupported:
        losses.append(f"{decoding.unsupported} value(s) are of a kind that is not read.")
    if decoding.repaired:
        losses.append(f"{decoding.repaired} text(s) are not valid Unicode.")
    return losses


_Converted = tuple[object, str]
_Converter = Callable[[object, dict[str, object]], _Converted]


def _text(value: object, _: dict[str, object]) -> _Converted:
    if not isinstance(value, str) or value == UNSUPPORTED:
        raise _WrongType(f"It is {_said(value)}, not text.")
    return value, ""


def _count(value: object, _: dict[str, object]) -> _Converted:
    return _whole(value), ""


def _whole(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise _WrongType(f"It is {_said(value)}, not a whole number.")
    return value


def _seconds(value: object, _: dict[str, object]) -> _Converted:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e15:
        raise _WrongType(f"It is {_said(value)}, not a number of seconds.")
    return float(value), ""


def _window(value: object, _: dict[str, object]) -> _Converted:
    """Return start and end; dates are taken for milliseconds since 1970, the unit in which most windows are counted."""
    if isinstance(value, dict):
        value = [value["start"], value["end"]] if {"start", "end"} <= value.keys() else list(value.values())
    if not isinstance(value, list) or len(value) != 2:
        raise _WrongType(f"It is {_said(value)}, not a start and an end.")
    details = []
    if all(isinstance(end, str) for end in value):
        stamps = tuple(_milliseconds(str(end)) for end in value)
        details.append("It holds dates, not integer epoch stamps; they were taken as milliseconds since 1970 in UTC.")
    else:
        stamps = tuple(_whole(end) for end in value)
        if all(_is_date_as_number(stamp) for stamp in stamps):
            details.append(f"{stamps[0]} and {stamps[1]} are dates written as numbers, not epoch stamps.")
    if stamps[0] > stamps[1]:
        details.append("It ends before it begins.")
    return stamps, " ".join(details)


def _is_date_as_number(stamp: int) -> bool:
    """Return whether a stamp reads as YYYYMMDD; as seconds that would be a day of 1970."""
    try:
        return datetime.strptime(str(stamp), "%Y%m%d").year >= 1990
    except ValueError:
        return False


def _date(value: object, info: dict[str, object]) -> _Converted:
    text, _ = _text(value, info)
    try:
        datetime.fromisoformat(str(text))
    except ValueError:
        return text, f"{str(text)[:40]!r} is no date as ISO 8601 writes it (2024-06-30); how fresh it is, is not known."
    return text, ""


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text[:26] if len(text) == 29 else text)
    except ValueError:
        raise _WrongType(f"It holds {text[:40]!r}, neither an epoch stamp nor a date.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _factors(value: object, _: dict[str, object]) -> _Converted:
    names = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _WrongType(f"It is {_said(value)}, not a list of names.")
    return tuple(str(name) for name in names), ""


def _config(value: object, _: dict[str, object]) -> _Converted:
    if not isinstance(value, dict):
        raise _WrongType(f"It is {_said(value)}, not a dict.")
    return value, ""


def _importance(value: object, info: dict[str, object]) -> _Converted:
    """Return importances by name: of a dict or series, a frame's column of names and that of them, or bare numbers."""
    if isinstance(value, dict):
        named = list(value.items())
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        named = _named_rows(value)
    elif isinstance(value, list):
        named = _named_numbers(value, info.get("selected_factors"))
    else:
        raise _WrongType(f"It is {_said(value)}, not numbers by name.")
    numbers = {
        name: float(number)
        for name, number in named
        if isinstance(number, (int, float)) and not isinstance(number, bool) and abs(number) < 1e308
    }
    lost = sum(number is not None and name not in numbers for name, number in named)
    return numbers, f"{lost} of its values are no numbers." if lost else ""


def _named_rows(rows: list[dict[str, object]]) -> list[tuple[str, object]]:
    # One walk over what the rows have: columns times rows would be far more where rows differ.
    text_counts = Counter(name for row in rows for name, value in row.items() if isinstance(value, str))
    numeric = {name for row in rows for name, value in row.items() if _is_number(value)}
    texts = [name for name in rows[0] if text_counts[name] == len(rows)]
    numbers = [name for name in rows[0] if name in numeric and text_counts[name] < len(rows)]
    if not texts or not numbers:
        raise _WrongType("It is a table without a column of names and one of numbers.")
    chosen = _importances_among(numbers)
    return [(str(row[texts[0]]), row.get(chosen)) for row in rows]


def _importances_among(columns: list[str]) -> str:
    """Return the column that is called as one of importances; else the first one that is not called otherwise."""
    by_name = {str(column).strip().casefold(): column for column in reversed(columns)}
    known = next((by_name[name] for name in IMPORTANCES if name in by_name), None)
    if known is not None:
        return known
    return next((column for name, column in reversed(by_name.items()) if name not in NO_IMPORTANCES), columns[0])


def _named_numbers(numbers: list[object], names: object) -> list[tuple[str, object]]:
    if isinstance(names, dict):
        names = list(names.values())
    if not isinstance(names, list) or len(names) != len(numbers):
        raise _WrongType(f"It is {len(numbers)} numbers without names, and selected_factors has no {len(numbers)}.")
    return [(str(name), number) for name, number in zip(names, numbers, strict=True)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _rows(value: object, _: dict[str, object]) -> _Converted:
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        value = _rows_of_columns(value)
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _WrongType(f"It is {_said(value)}, not a table.")
    if any(row.keys() != value[0].keys() for row in value):
        raise _WrongType("It is a table whose rows have different columns.")
    return value, ""


def _rows_of_columns(columns: dict[str, list[object]]) -> list[dict[str, object]]:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise _WrongType("It is a dict of columns of different lengths.")
    return [{name: column[row] for name, column in columns.items()} for row in range(lengths.pop())]


def _said(value: object) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a dict of {len(value)}"
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "a number of more than 63 bits"
    return repr(value)[:60]


_KEYS: dict[str, _Converter] = {
    "symbol": _text,
    "return_name": _text,
    "train_window": _window,
    "train_start_date": _date,
    "train_end_date": _date,
    "train_samples": _count,
    "train_time": _seconds,
    "original_factors_count": _count,
    "ic_filtered_count": _count,
    "final_factors_count": _count,
    "selected_factors": _factors,
    "config": _config,
    "feature_importance": _importance,
    "ic_df": _rows,
}
"""The keys of the contract, and what each value must become."""
