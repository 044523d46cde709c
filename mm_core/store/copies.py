"""A second copy of each file that holds what people entered: nobody reads it but repairs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mm_core.store.durable import TEMPORARY, not_written, open_new, write_durably
from mm_core.store.unfinished import is_being_written

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Copies:
    """Copies below a directory of their own, in the order of the originals.

    A copy is written before its original, without waiting for the disk, so it is never older than what was
    acknowledged; after a power cut the original is whole, which waited.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.path = data_dir / "copies"
        self._note = self.path / "complete"

    def of(self, path: Path) -> Path:
        """Return where the copy of a file is or would be."""
        return self.path / path.relative_to(self._data_dir)

    def are_complete(self) -> bool:
        """Return whether they were all whole at some time since this machine was started."""
        try:
            return self._note.read_text() == _boot()
        except (OSError, UnicodeDecodeError):
            return False

    def were_completed(self) -> bool:
        """Return whether they were all whole once: one that is missing was lost since."""
        return self._note.exists()

    def note_complete(self) -> None:
        """Note that they are all whole now."""
        write_durably(self._note, _boot().encode(), sync=False)

    def note_incomplete(self) -> None:
        """Note that some are about to be missing: of files that a restore puts there; raises `StoreError`."""
        try:
            self._note.unlink(missing_ok=True)
        except OSError as error:
            raise not_written(self._note, error) from error

    def is_being_replaced(self, path: Path) -> bool:
        """Return whether a writer took the older copy of a file away just now, to put the newer one in its place."""
        copy = self.of(path)
        return not copy.exists() and is_being_written(_beside(copy))

    def write(self, path: Path, data: bytes) -> None:
        """Put or replace the copy of a file; raises `StoreError`, and then an older copy is as it was.

        Files carry the digest of their content, so a copy need not be put there in one step. An older one is removed
        before the newer one takes its place: ext4 writes out at once what replaces a file, and the commit's fsync would
        wait for that too.
        """
        copy = self.of(path)
        written = _beside(copy) if copy.exists() else copy
        try:
            with suppress(FileNotFoundError):
                os.unlink(written)
            with os.fdopen(open_new(written), "wb") as file:
                file.write(data)
            if written != copy:
                copy.unlink()
                os.rename(written, copy)
        except OSError as error:
            with suppress(OSError):
                written.unlink(missing_ok=True)
            raise not_written(copy, error) from error

    def remove(self, directory: Path, names: Iterable[str]) -> None:
        """Delete the copies of some files of a directory."""
        for name in names:
            (self.of(directory) / name).unlink(missing_ok=True)


def _beside(copy: Path) -> Path:
    """Return where what is going to replace a copy is written."""
    return copy.with_name(f"{TEMPORARY}{copy.name}")


def _boot() -> str:
    """Return what differs after each start of this machine: what was not synced may be lost with the one before."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return "unknown"
