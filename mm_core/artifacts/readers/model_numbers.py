"""Numbers that XGBoost writes as text, in the one spelling that it reads again."""

from __future__ import annotations

import re

from mm_core.artifacts.readers.model_refusals import bad

LARGEST_FLOAT32 = 3.4028234663852886e38

_FLOAT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def whole_number(text: str, name: str) -> int:
    """Return a whole number of at most twelve digits; raise `UnreadableArtifact` that names it."""
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise bad(f"{name} is {text[:40]!r}, not a whole number.")
    return int(text)


def finite_numbers(text: str) -> list[float] | None:
    """Return the numbers of ``1E0`` or ``[1E0,2E0]``; None where one is nothing that a float32 can hold."""
    listed = text[1:-1].split(",") if text.startswith("[") and text.endswith("]") else [text]
    if not all(map(_FLOAT.fullmatch, listed)):
        return None
    numbers = list(map(float, listed))
    return numbers if all(abs(number) <= LARGEST_FLOAT32 for number in numbers) else None
