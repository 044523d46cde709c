"""One process at a time, for the moment in which a copy is compared and replaced."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE_SECONDS = 5.0
"""With a holder that does not move: it is stopped, as what it does takes less than a millisecond."""

_PAUSE_SECONDS = 0.002


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep other processes and threads that want the same from a directory out, until the block is left.

    The lock is the directory's own: no file is left over, and a process that is killed holds nothing. Where there is
    none to be had (a stopped holder, a file system without locks, Windows) the block runs all the same: then only the
    microseconds between comparison and replacement are open, and a bot must not stand still for these.
    """
    handle = _take(directory)
    try:
        yield
    finally:
        if handle is not None:
            _release(handle)


if sys.platform == "win32":

    def _take(directory: Path) -> int | None:
        return None

    def _release(handle: int) -> None:
        """Release nothing."""

else:
    import fcntl

    def _take(directory: Path) -> int | None:
        """Return an open handle that has the lock, None where there is none to be had."""
        try:
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return None
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if not isinstance(error, BlockingIOError) or time.monotonic() > until:
                    os.close(handle)
                    return None
                time.sleep(_PAUSE_SECONDS)
            else:
                return handle

    def _release(handle: int) -> None:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # closing alone would leave it to a child that was forked meanwhile
        os.close(handle)
