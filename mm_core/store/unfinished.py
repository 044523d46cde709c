"""Files and directories that are not finished: which are being written, and which a writer that was ended left."""

from __future__ import annotations

import fcntl
import glob
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from mm_core.store.durable import KEPT_SECONDS, TEMPORARY, leave_to_owner, make_directory, not_written


def left_over(directory: Path, places: Iterable[str]) -> list[Path]:
    """Return what writers left below some places of a directory: glob patterns, each with a slash at its end.

    What changed within the last `KEPT_SECONDS` is being written, and so is what its writer holds.
    """
    found = (directory / name for place in places for name in glob.glob(f"{place}{TEMPORARY}*", root_dir=directory))
    return sorted(path for path in found if _is_old(path) is True and not _is_held(path))


def is_being_written(path: Path) -> bool:
    """Return whether an unfinished file is there, and its writer is at work on it."""
    return _is_old(path) is False or _is_held(path)


def is_left_alone(directory: Path) -> bool:
    """Return whether nothing in a directory, nor itself, changed within the last `KEPT_SECONDS`."""
    below = (Path(place, name) for place, *names in os.walk(directory) for name in chain(*names))
    return all(_is_old(path) for path in chain((directory,), below))


def hold(descriptor: int) -> None:
    """Let an open file or directory count as being written, however long that takes, until it is closed.

    A process that is ended lets go of it too.
    """
    with suppress(OSError):  # without such locks, as on some network file systems, its age alone tells
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def unfinished_directory(within: Path, purpose: str) -> Iterator[Path]:
    """Make a directory that counts as being written, however long that takes, until it is removed at the end.

    Raises `StoreError`.
    """
    try:
        make_directory(within)
        place = tempfile.TemporaryDirectory(prefix=f"{TEMPORARY}{purpose}-", dir=within)
    except OSError as error:
        raise not_written(within, error) from error
    with place:
        try:
            leave_to_owner(Path(place.name))
            descriptor = os.open(place.name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise not_written(within, error) from error
        try:
            hold(descriptor)
            yield Path(place.name)
        finally:
            os.close(descriptor)


def _is_old(path: Path) -> bool | None:
    """Return whether a file was left alone for so long that no writer can be at work on it; None for none.

    Its time of change tells, which the kernel sets: the other one is set by writers, to be later than what they
    replace, and may lie ahead.
    """
    try:
        changed = path.lstat().st_ctime
    except OSError:
        return None
    return abs(time.time() - changed) > KEPT_SECONDS


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
