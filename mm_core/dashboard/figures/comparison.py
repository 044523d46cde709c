"""What differs between two groups, as rows for bars."""

from __future__ import annotations

from collections.abc import Sequence


def largest_changes(rows: Sequence[tuple[str, float | None]], top: int) -> list[tuple[str, float]]:
    """Return the ``top`` largest changes by size, ordered from the most positive to the most negative.

    A change of 0, None or NaN is none.
    """
    known = [(name, value) for name, value in rows if value and value == value]
    chosen = sorted(known, key=lambda row: -abs(row[1]))[:top]
    return sorted(chosen, key=lambda row: -row[1])
