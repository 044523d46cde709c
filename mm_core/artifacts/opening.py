"""Files and directories opened so that no link, however quickly it is put there, leads anywhere else."""

from __future__ import annotations

import os
from pathlib import PurePath

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def open_directory(path: str, parent: int | None = None) -> int:
    """Return a descriptor of a directory; without ``parent`` no part of the absolute ``path`` may be a link.

    Raises ``OSError``, ``ENOTDIR`` or ``ELOOP`` for a link among them.
    """
    return os.open(path, _DIRECTORY, dir_fd=parent) if parent is not None else _open_by_steps(path, _DIRECTORY)


def open_file(path: str) -> int:
    """Return a descriptor of what is at an absolute path of which no part may be a link; opening never blocks.

    Raises ``OSError``, ``ENOTDIR`` or ``ELOOP`` for a link among them.
    """
    return _open_by_steps(path, _FILE)


def _open_by_steps(path: str, flags: int) -> int:
    """Open a path part by part: a part that was checked and is swapped for a link afterwards is not followed."""
    root, *steps = PurePath(path).parts
    place = os.open(root, _STEP if steps else flags)
    for number, step in enumerate(steps, 1):
        try:
            following = os.open(step, flags if number == len(steps) else _STEP, dir_fd=place)
        finally:
            os.close(place)
        place = following
    return place
