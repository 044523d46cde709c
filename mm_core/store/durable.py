"""Files that are replaced whole and survive a power cut."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterable, Set
from contextlib import suppress
from pathlib import Path

from mm_core.errors import StoreError, StoreFull

TEMPORARY = ".tmp-"
"""How names of files begin that were never finished."""

KEPT_SECONDS = 60.0
"""What nothing names any more stays for so long: views and backups that were just begun still read it."""

FULL = {errno.ENOSPC, errno.EDQUOT}
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


def write_durably(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace ``path`` by ``data`` atomically; with ``sync`` the change has reached the disk on return.

    Readers see the old content or the new one, never a part. Raises `StoreError` with what to do; then the old content
    is untouched, unless the sentence says that the new one may not last.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        descriptor = open_new(temporary)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            now = _later_than(path)
            os.utime(descriptor, ns=(now, now))
            if sync:
                os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # a file system that is read-only refuses this too
            temporary.unlink(missing_ok=True)
        raise not_written(path, error) from error
    if sync:
        try:
            sync_directory(path.parent)
        except OSError as error:
            raise StoreError(
                f"'{path}' was written, but the disk did not confirm it: {_reason(error)} A power cut may undo it."
            ) from error


def open_new(path: Path) -> int:
    """Return the descriptor of a file that was not there, its directories made, to last, where they are missing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, FILE_MODE)
    except FileNotFoundError:
        make_directory(path.parent)
        descriptor = os.open(path, flags, FILE_MODE)
    _give(descriptor, path.parent)
    return descriptor


def make_directory(path: Path, *, sync: bool = True) -> None:
    """Make a directory and those above it that are missing; with ``sync``, each is durable in the one that holds it."""
    if not path.is_dir():
        make_directory(path.parent, sync=sync)
        path.mkdir(exist_ok=True, mode=DIRECTORY_MODE)
        leave_to_owner(path)
        if sync:
            with suppress(PermissionError):  # who may make a directory there need not be allowed to list it
                sync_directory(path.parent)


def leave_to_owner(path: Path) -> None:
    """Give what root made, if it is there, to whom its directory belongs: a server of that user goes on with it."""
    if os.geteuid() == 0:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:  # locks resolve their path, which may lead elsewhere where namespaces meet
            return
        try:
            _give(descriptor, path.parent)
        finally:
            os.close(descriptor)


def _give(descriptor: int, directory: Path) -> None:
    if os.geteuid() == 0:
        owner = os.stat(directory)
        if owner.st_uid != 0:
            with suppress(PermissionError):  # some network file systems know no root
                os.fchown(descriptor, owner.st_uid, owner.st_gid)


def linked(path: Path, to: Path) -> bool:
    """Give a file a second name; return False where the file system has no hard links, or none between the two."""
    try:
        os.link(path, to)
    except OSError as error:
        if error.errno in NO_LINKS:
            return False
        raise
    return True


def not_written(path: Path, error: OSError) -> StoreError:
    """Return what to tell of a file that could not be written: what, why, what to do."""
    kind = StoreFull if error.errno in FULL else StoreError
    return kind(f"'{path}' cannot be written: {_reason(error)} Nothing was changed.")


def clear_of(directory: Path, wanted: Set[str], let_go: Iterable[str] = ()) -> list[str]:
    """Delete the files of a directory but for those ``wanted``, and those written or ``let_go`` just now.

    The time of a file that is let go becomes that of this moment, so that old files stay as long as new ones. Returns
    the names of what was deleted.
    """
    for name in let_go:
        with suppress(OSError):
            os.utime(directory / name)
    before = time.time() - KEPT_SECONDS
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return []
    deleted = []
    for entry in entries:
        if entry.name not in wanted:
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < before:
                    os.unlink(entry.path)
                    deleted.append(entry.name)
    return deleted


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _later_than(path: Path) -> int:
    """Return the time of now in nanoseconds; whatever the clock does, a later one than ``path`` has.

    Readers tell a replacement by inode, time and size, and inodes are used again.
    """
    now = time.time_ns()
    try:
        return max(now, path.stat().st_mtime_ns + 1)
    except FileNotFoundError:
        return now


def _reason(error: OSError) -> str:
    if error.errno in FULL:
        return "the disk is full. Free some space, then try again."
    if error.errno == errno.EROFS:
        return "the file system is read-only. Mount it writable, or set MODEL_MANAGER_DATA_DIR."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "permission is denied. Give this user the data directory, or set MODEL_MANAGER_DATA_DIR."
    return f"{error.strerror}. Check the disk, then try again."
