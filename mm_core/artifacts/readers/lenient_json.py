"""JSON files as trainers write them: with NaN, with a byte order mark."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from mm_core import strict_json
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.text import decode_text
from mm_core.errors import UnreadableArtifact

MOST_LEVELS = 64
"""Of objects in objects: what is read is kept in documents that have levels of their own."""

REMEDY = "Write the file again with json.dump(…, allow_nan=False)."


def read_object(data: bytes, report: FileReport) -> dict[str, Any]:
    """Return the JSON object in ``data``; NaN and infinity become None and are a finding.

    Raises `UnreadableArtifact` for anything else than one JSON object, and where an object gives one name two values:
    parsers take the last of them, and nobody knows which one is meant.
    """
    text = decode_text(data)
    try:
        try:
            value = strict_json.decode(text.encode())
        except strict_json.NotJson:
            tokens: list[str] = []
            value = json.loads(text, parse_constant=tokens.append)
            strict_json.encode(value)  # refuses halves of surrogate pairs, which nobody could store or send
            if tokens:
                report.warn(
                    "non-strict-json",
                    f"The file has {len(tokens)} values such as {tokens[0]}, which JSON does not know.",
                    "Write null or a finite number: other readers refuse the whole file.",
                )
        twice = _name_of_two_values(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise UnreadableArtifact("bad-json", f"The file is no JSON ({str(error)[:120]}).", REMEDY, line) from error
    if twice is not None:
        raise UnreadableArtifact(
            "bad-json", f"'{twice[:60]}' stands twice in one object, with different values.", "Write it once."
        )
    if not isinstance(value, dict):
        raise UnreadableArtifact("bad-json", f"The file holds a {type(value).__name__}, not an object.", REMEDY)
    if _is_too_deep(value):
        raise UnreadableArtifact("bad-json", f"The file has more than {MOST_LEVELS} levels.", "Write it flatter.")
    return value


def _name_of_two_values(text: str) -> str | None:
    found: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        told = dict(pairs)
        if len(told) < len(pairs):
            found.extend(name for name, value in pairs if value != told[name])
        return told

    json.loads(text, object_pairs_hook=members, parse_constant=str)
    return found[0] if found else None


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [child for each in level for child in _children(each) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def finite_or_none(value: object) -> float | None:
    """Return a finite number as float; None for anything else, truth values included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def whole_or_none(value: object) -> int | None:
    """Return a whole number, also where it is written as a float; None for anything else."""
    number = finite_or_none(value)
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else None
