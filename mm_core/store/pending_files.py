"""Files that a commit is going to name: written with their copies, taken back when it does not come."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mm_core.store.copies import Copies
from mm_core.store.durable import write_durably


class PendingFiles:
    """Remembers what was written since the last commit."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._written: list[Path] = []

    def write(self, path: Path, data: bytes) -> None:
        """Write a file durably, its copy first; raises `StoreError`."""
        self._written.append(path)
        self._copies.write(path, data)
        write_durably(path, data)

    def forget(self) -> None:
        """Note that what was written is named by a commit now, or may be."""
        self._written.clear()

    def take_back(self) -> None:
        """Delete what was written since the last commit: nothing names it."""
        with suppress(OSError):
            for path in self._written:
                path.unlink(missing_ok=True)
                self._copies.of(path).unlink(missing_ok=True)
        self._written.clear()
