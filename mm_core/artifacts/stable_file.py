"""The bytes of a file that nobody was writing meanwhile."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mm_core.artifacts.opening import open_file
from mm_core.domain.files import ModelFile
from mm_core.errors import UnreadableArtifact

ATTEMPTS = 3
PAUSE_SECONDS = 0.05
STREAM_BYTES = 1 << 20
"""Of a file that is read part by part, what is in memory at a time."""

STILL_BEING_WRITTEN = "still-being-written"
"""The finding that goes by itself: what has it is read again when it rests."""


Identity = tuple[int, int, int, int]
"""Inode, size in bytes, times of modification and change in nanoseconds."""


def read_stable(root: Path, path: str, limit: int, listed: Identity | None = None) -> bytes:
    """Return the whole content of the regular file ``path`` below ``root``, which is a path without links.

    The file is opened without blocking; its size, times and inode must be equal before and after the read, else it is
    read again. Raises `UnreadableArtifact` for a file above ``limit`` bytes, one that leaves the root, one that is no
    regular file, one that cannot be read, one that goes on changing, and one that is not as ``listed``: whatever takes
    its place for a moment only was never beside the others.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        descriptor, before = _opened(root, path, limit, listed)
        with os.fdopen(descriptor, "rb") as file:
            try:
                data = file.read(before.st_size + 1)  # a buffer of this size is taken, however little follows
            except OSError as error:
                raise _not_read(error) from error
            after = os.fstat(descriptor)
        if _identity(before) == _identity(after) and len(data) == before.st_size:
            return data
    raise _changed()


@contextmanager
def open_stable(root: Path, path: str, limit: int, listed: Identity) -> Iterator[BinaryIO]:
    """Give the file that was ``listed`` for reading part by part.

    What was read counts once the block was left without an exception: a file that changed meanwhile raises
    `UnreadableArtifact`, as do those that `read_stable` refuses and whatever keeps the system from reading.
    """
    descriptor, before = _opened(root, path, limit, listed)
    with os.fdopen(descriptor, "rb", buffering=STREAM_BYTES) as file:
        try:
            yield file
            after = os.fstat(descriptor)
        except OSError as error:
            raise _not_read(error) from error
    if _identity(before) != _identity(after):
        raise _changed()


def identity_of(file: ModelFile) -> Identity:
    """Return what a file that was listed must still be when it is opened."""
    return (file.inode, file.size_bytes, file.modified_ns, file.changed_ns)


def is_as_listed(root: Path, file: ModelFile) -> bool:
    """Return whether a file below ``root`` is still what it was when it was listed."""
    try:
        return _identity(os.stat(root / file.path)) == identity_of(file)
    except OSError:
        return False


def _opened(root: Path, path: str, limit: int, listed: Identity | None) -> tuple[int, os.stat_result]:
    """Return the descriptor of a file that may be read, and what it is."""
    full_path = root / path
    real_root = os.path.abspath(root)
    for attempt in range(ATTEMPTS):
        try:
            real_path = os.path.realpath(full_path, strict=True)
            if os.path.commonpath([real_root, real_path]) != real_root:
                raise UnreadableArtifact(
                    "link-leaves-root", "The file is outside the registered root.", "Copy it below the root."
                )
            descriptor = open_file(real_path)
            break
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR) and attempt + 1 < ATTEMPTS:
                time.sleep(PAUSE_SECONDS)  # a part of the path became a link meanwhile: look again where it leads
                continue
            raise UnreadableArtifact(
                "unreadable", f"The file cannot be opened ({error.strerror}).", "Check that it exists and is readable."
            ) from error
    before = os.fstat(descriptor)
    try:
        _check(before, limit)
        if listed is not None and _identity(before) != listed:
            raise UnreadableArtifact(
                STILL_BEING_WRITTEN,
                "The file changed after it was listed.",
                "Nothing to do if a run is writing it: it is read again when it is quiet.",
            )
    except UnreadableArtifact:
        os.close(descriptor)
        raise
    return descriptor, before


def _changed() -> UnreadableArtifact:
    return UnreadableArtifact(
        STILL_BEING_WRITTEN,
        "The file changed while it was read.",
        "Nothing to do if a run is writing it: it is read again when it is quiet. Write to another name, then rename.",
    )


def _not_read(error: OSError) -> UnreadableArtifact:
    return UnreadableArtifact(
        "unreadable", f"The file cannot be read ({error.strerror}).", "Check the disk and its permissions."
    )


def _check(status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableArtifact("not-a-file", "This is no regular file.", "Remove it.")
    if status.st_size > limit:
        raise UnreadableArtifact(
            "file-too-large",
            f"The file has {status.st_size:,} bytes, at most {limit:,} are read.",
            "Check that it is the right file; raise MODEL_MANAGER_MAX_MODEL_MB or MODEL_MANAGER_MAX_FILE_MB if it is.",
        )


def _identity(status: os.stat_result) -> Identity:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
