"""A second copy of each file that holds what people entered: nobody reads it but repairs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mm_core.store.durable import not_written, open_new


class Copies:
    """Copies below a directory of their own, in the order of the originals.

    A copy is written before its original, without waiting for the disk, so it is never older than what was
    acknowledged; after a power cut the original is whole, which waited.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.path = data_dir / "copies"

    def of(self, path: Path) -> Path:
        """Return where the copy of a file is or would be."""
        return self.path / path.relative_to(self._data_dir)

    def write(self, path: Path, data: bytes) -> None:
        """Put or replace the copy of a file; raises `StoreError`.

        Files carry the digest of their content, so a copy need not be put there in one step. The older one is removed
        first: ext4 writes out at once what replaces a file, and the commit's fsync would wait for that too.
        """
        copy = self.of(path)
        try:
            copy.unlink(missing_ok=True)
            with os.fdopen(open_new(copy), "wb") as file:
                file.write(data)
        except OSError as error:
            with suppress(OSError):
                copy.unlink(missing_ok=True)
            raise not_written(copy, error) from error

    def remove(self, directory: Path, names: Iterable[str]) -> None:
        """Delete the copies of some files of a directory."""
        for name in names:
            (self.of(directory) / name).unlink(missing_ok=True)
