"""Files that a commit is going to name: written with their copies, taken back when it does not come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mm_core.store.copies import Copies
from mm_core.store.durable import write_durably


class PendingFiles:
    """Remembers what was written since the last commit.

    Without ``copies``, files have no second copy. ``taken_back`` is called with the path of each that was taken back.
    """

    def __init__(self, copies: Copies | None, taken_back: Callable[[Path], object] = lambda _: None) -> None:
        self._copies = copies
        self._taken_back = taken_back
        self._written: list[Path] = []

    def write(self, path: Path, data: bytes) -> None:
        """Write a file durably, its copy first; raises `StoreError`."""
        self._written.append(path)
        if self._copies is not None:
            self._copies.write(path, data)
        write_durably(path, data)

    def forget(self) -> None:
        """Note that what was written is named by a commit now, or may be."""
        self._written.clear()

    def take_back(self) -> None:
        """Delete what was written since the last commit: nothing names it."""
        for path in self._written:
            self._taken_back(path)
            for each in (path, *([self._copies.of(path)] if self._copies is not None else [])):
                with suppress(OSError):
                    each.unlink(missing_ok=True)
        self._written.clear()
