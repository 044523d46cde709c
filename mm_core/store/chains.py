"""Files that name the one before them: a chain that leads back has no end."""

from __future__ import annotations

from mm_core.errors import StoreCorrupt


class EachOnce:
    """Refuses a file that was met before; ``whose`` says in a sentence whose files they are."""

    def __init__(self, whose: str) -> None:
        self._whose = whose
        self._met: set[str] = set()

    def take(self, file: str) -> None:
        """Note that a file was met; raise `StoreCorrupt` when it was met before."""
        if file in self._met:
            raise StoreCorrupt(f"{self._whose} name the file '{file}' twice.")
        self._met.add(file)
