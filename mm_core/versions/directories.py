"""Which entries of a root are runs, and what a run's directory holds: looked at, never followed out of."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from mm_core.domain.runs import RunId
from mm_core.errors import InvalidRoot


@dataclass(frozen=True, slots=True)
class Content:
    """A directory as one walk found it.

    ``files`` are sizes in bytes of the regular files directly in it, by name; ``size_bytes`` is that of all regular
    files below it, links not followed; ``changed_at`` the latest time of anything below it in seconds; ``mounted``
    whether another file system begins in it, ``whole`` whether all of it could be looked at.
    """

    files: dict[str, int]
    size_bytes: int
    changed_at: float
    mounted: bool
    whole: bool


def run_ids(root: Path) -> tuple[RunId, ...]:
    """Return the real directories directly below ``root`` that are named as runs, newest first.

    Links are no runs, whatever they lead to. Raises `InvalidRoot` for a root that cannot be listed.
    """
    found = []
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                run = RunId.parse(entry.name)
                if run is not None and entry.is_dir(follow_symlinks=False):
                    found.append(run)
    except OSError as error:
        raise InvalidRoot(f"'{root}' cannot be listed ({error.strerror}). Check that it is readable.") from error
    return tuple(sorted(found, reverse=True))


def is_run(root: Path, name: str) -> bool:
    """Return whether ``name`` is by now a real directory directly below ``root`` that is named as a run."""
    try:
        return RunId.parse(name) is not None and stat.S_ISDIR(os.lstat(root / name).st_mode)
    except OSError:
        return False


def content_of(directory: Path) -> Content:
    """Return what is in a directory; a link is empty, as is any other entry, one that is gone is not whole either."""
    files: dict[str, int] = {}
    size, changed_at, mounted, whole = 0, 0.0, False, True
    try:
        top = os.lstat(directory)
    except OSError:
        return Content({}, 0, 0.0, mounted=False, whole=False)
    if not stat.S_ISDIR(top.st_mode):
        return Content({}, top.st_size if stat.S_ISREG(top.st_mode) else 0, top.st_mtime, mounted=False, whole=True)
    waiting = [str(directory)]
    while waiting:
        folder = waiting.pop()
        try:
            changed_at = max(changed_at, os.lstat(folder).st_mtime)
            with os.scandir(folder) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    changed_at = max(changed_at, status.st_mtime)
                    if stat.S_ISDIR(status.st_mode):
                        mounted = mounted or status.st_dev != top.st_dev
                        waiting.append(entry.path)
                    elif stat.S_ISREG(status.st_mode):
                        size += status.st_size
                        if folder == str(directory):
                            files[entry.name] = status.st_size
        except OSError:
            whole = False
    return Content(files, size, changed_at, mounted, whole)
