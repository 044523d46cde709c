"""Files that are replaced whole and survive a power cut."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Set
from pathlib import Path

from mm_core.errors import StoreError

TEMPORARY = ".tmp-"
"""How names of files begin that were never finished."""

KEPT_SECONDS = 60.0
"""Files younger than this stay, so that a view that was just taken can still read what it refers to."""

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


def write_durably(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace ``path`` by ``data`` atomically; with ``sync`` the change has reached the disk on return.

    Readers see the old content or the new one, never a part. Raises `StoreError` with what to do; then the old content
    is untouched.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            now = time.time_ns()  # finer than the clock of the file system: each replacement has a time of its own
            os.utime(descriptor, ns=(now, now))
            if sync:
                os.fsync(descriptor)
        os.replace(temporary, path)
        if sync:
            sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"'{path}' cannot be written: {_reason(error)} Nothing was changed.") from error


def clear_of(directory: Path, wanted: Set[str]) -> None:
    """Delete the files of a directory but for those ``wanted`` by name and those written just now."""
    before = time.time() - KEPT_SECONDS
    for path in sorted(directory.glob("*")):
        if path.name not in wanted:
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
            except FileNotFoundError:
                continue


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "the disk is full. Free some space, then try again."
    if error.errno == errno.EROFS:
        return "the file system is read-only. Mount it writable, or set MODEL_MANAGER_DATA_DIR."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "permission is denied. Give this user the data directory, or set MODEL_MANAGER_DATA_DIR."
    return f"{error.strerror}. Check the disk, then try again."
