"""Backups of what people entered: made while it is in use, checked before they are put back."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mm_core.domain.moments import utc_now
from mm_core.errors import BackupRefused, StoreError
from mm_core.store import (
    BackupManifest,
    StateMoved,
    TinyDBStore,
    unfinished_directory,
    unpacked_backup,
    written_backup,
)

__all__ = ["BackupManifest", "Backups", "Restored"]

TRIES = 3
"""Backups that newer commits took a file from, before one is made with writers kept out."""

KEPT_BEFORE = "before-restore"
"""The directory below the data directory where the state that a restore replaced is kept."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: ``before`` is the revision that was replaced, None where it could not be read."""

    manifest: BackupManifest
    before: int | None
    revision: int
    kept: Path | None


class Backups:
    """Writes a state into one file, and puts one back."""

    def __init__(self, store: TinyDBStore, data_dir: Path) -> None:
        self._store = store
        self._data_dir = data_dir

    def create(self, path: Path, *, replace: bool = False) -> BackupManifest:
        """Write the newest state into ``path``, while others go on reading and writing.

        Raises `BackupRefused` where the file exists and ``replace`` is False, `StoreError` where the state is damaged
        or the file cannot be written.
        """
        if not replace and path.exists():
            raise BackupRefused(f"'{path}' exists. Name another file, or replace it with --force.")
        for _ in range(TRIES):
            try:
                return self._written(path, replace=replace)
            except StateMoved:
                continue
        with self._store.transaction():
            return self._written(path, replace=replace)

    def check(self, path: Path) -> BackupManifest:
        """Return what a backup holds after every file in it was read; raises `BackupRefused`."""
        with tempfile.TemporaryDirectory(prefix="model-manager-") as staged:
            return _staged(path, Path(staged))

    def restore(self, path: Path) -> Restored:
        """Make a backup the newest state, under a revision that nobody has seen; processes that run go on with it.

        Everything in it is checked before anything is touched. What was there is kept below `KEPT_BEFORE`. Raises
        `BackupRefused` and `StoreError`; then the state is as it was.
        """
        self.check(path)
        with unfinished_directory(self._data_dir, "restore") as staged:
            manifest = _staged(path, staged)
            kept = self._data_dir / KEPT_BEFORE / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
            before, revision, file = self._store.put_back(staged, kept, self._keep)
        return Restored(manifest, before, revision, file)

    def _keep(self, path: Path) -> Path:
        file = path.with_name(path.name + ".zip")
        self._written(file, replace=False)
        return file

    def _written(self, path: Path, *, replace: bool) -> BackupManifest:
        with written_backup(path, replace=replace) as writer:
            revision = self._store.read_files(writer.add)
            if revision == 0:
                raise BackupRefused("There is no state to back up yet. Register a model first.")
            return writer.finish(utc_now(), revision)


def _staged(path: Path, place: Path) -> BackupManifest:
    manifest = unpacked_backup(path, place)
    try:
        revision, names = TinyDBStore(place).check_files()
    except StoreError as error:
        detail = error.detail.replace(f"{place}/", "")
        raise BackupRefused(f"'{path}' is no whole backup: {detail} Nothing was changed.") from error
    if revision != manifest.revision:
        raise BackupRefused(f"'{path}' is no whole backup: its manifest names another revision. Nothing was changed.")
    if names != manifest.files.keys():
        raise BackupRefused(f"'{path}' is no whole backup: its state names other files. Nothing was changed.")
    return manifest
