"""Factor configs that say which edit they are of, and what a pull may show of them."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEFAULTS = (0.2, 1.0)


@dataclass(slots=True)
class Edit:
    """One ``PUT``: ``saved`` is when its 200 was there, None while nobody knows."""

    number: int
    names: frozenset[str]
    sent: float
    saved: float | None = None


class Edits:
    """Remembers the edits of every symbol, in their order; threads may share it.

    Edits of a symbol are made on what was read before (``If-Match``), and numbered after that, so those that are
    stored are stored in the order of their numbers.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edits: dict[str, list[Edit]] = {}
        self.saved = self.refused = 0

    def begin(self, symbol: str, names: Sequence[str]) -> Edit:
        """Remember an edit that is about to be sent."""
        with self._lock:
            known = self._edits.setdefault(symbol, [])
            edit = Edit(len(known) + 1, frozenset(names), time.monotonic())
            known.append(edit)
            return edit

    def save(self, edit: Edit) -> None:
        """Remember that the server said that it stored an edit."""
        with self._lock:
            edit.saved = time.monotonic()
            self.saved += 1

    def refuse(self, edit: Edit) -> None:
        """Remember that the server refused an edit: nobody may see it. Its number is not used again."""
        with self._lock:
            edit.names = frozenset()
            self.refused += 1

    def problem(
        self, symbol: str, shown: Mapping[str, tuple[float, float]], started: float, ended: float
    ) -> str | None:
        """Return what is wrong with the mean and variance by factor name of a pull that took from ``started`` to
        ``ended``, None where they are what the edits say.
        """
        with self._lock:
            edits = list(self._edits.get(symbol, ()))
        numbers = {name: edit_of(name, value) for name, value in shown.items()}
        newest = max((number or 0 for number in numbers.values()), default=0)
        for name, number in numbers.items():
            if number is None:
                return f"{name} has {shown[name]}, which nobody wrote"
            if number > len(edits) or (number and name not in edits[number - 1].names):
                return f"{name} has the value of edit {number}, which was refused or has no such factor"
            if number and edits[number - 1].sent > ended:
                return f"{name} has the value of edit {number}, which is not sent yet"
            for edit in edits[number:]:
                if name not in edit.names or edit.saved is None:
                    continue
                if edit.saved < started:
                    return (
                        f"{name} has the value of edit {number}, though {edit.number} was saved before the pull began"
                    )
                if edit.number <= newest:
                    return f"{name} has the value of edit {number} beside others of edit {newest}"
        return None


def values_of(name: str, number: int) -> tuple[float, float]:
    """Return the mean and variance that an edit gives a factor."""
    return number + zlib.crc32(name.encode()) % 997 / 1000, 1.0 + number


def edit_of(name: str, value: tuple[float, float]) -> int | None:
    """Return which edit gave a factor its values, 0 for the defaults, None where no edit can have."""
    if value == DEFAULTS:
        return 0
    number = round(value[1]) - 1
    return number if number > 0 and values_of(name, number) == value else None
