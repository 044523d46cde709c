"""Which payloads changed since a revision, for those who wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LOOK_SECONDS = 0.25
"""A waiter looks this often whether it should give up."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The symbols of a model that changed up to ``revision``; None where everything may have changed."""

    revision: int
    symbols: tuple[str, ...] | None


class ChangeLog:
    """Remembers at which revision each symbol changed last, since this process began to publish."""

    def __init__(self) -> None:
        self._grown = threading.Condition()
        self._first: int | None = None
        self._newest = 0
        self._changed: dict[str, dict[str, int]] = {}

    def note(self, revision: int, changed: Mapping[str, set[str]]) -> None:
        """Note which symbols of which models differ at ``revision`` from the one that was noted before.

        The first note says where the memory begins.
        """
        with self._grown:
            if self._first is None:
                self._first = revision
            else:
                for model_name, symbols in changed.items():
                    self._changed.setdefault(model_name, {}).update(dict.fromkeys(symbols, revision))
            self._newest = revision
            self._grown.notify_all()

    def since(
        self, model_name: str, revision: int, wait_seconds: float = 0.0, give_up: Callable[[], bool] = lambda: False
    ) -> Changes:
        """Return what changed after ``revision``; wait for a change up to ``wait_seconds``, or until ``give_up``."""
        deadline = time.monotonic() + wait_seconds
        with self._grown:
            while True:
                found = self._found(model_name, revision)
                left = deadline - time.monotonic()
                if found.symbols is None or found.symbols or left <= 0 or give_up():
                    return found
                self._grown.wait(min(left, LOOK_SECONDS))

    def _found(self, model_name: str, revision: int) -> Changes:
        if self._first is None or not self._first <= revision <= self._newest:
            return Changes(self._newest, None)
        changed = self._changed.get(model_name, {})
        return Changes(self._newest, tuple(sorted(symbol for symbol, at in changed.items() if at > revision)))
