"""Pins: runs that people want to keep, whatever a cleanup is asked for.

A pin is one file below ``.pins`` that bears the run's name and holds the reason, so that two people who pin at the same
time cannot undo each other's.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mm_core.domain.runs import RunId
from mm_core.errors import RunNotFound
from mm_core.versions.directories import is_run
from mm_core.versions.managed import locked, not_written, replace_durably, require_managed, sync

PINS = ".pins"


def pin(root: str | os.PathLike[str], version: str, note: str = "") -> None:
    """Protect a version from `delete` and `cleanup` until it is unpinned; ``note`` says why.

    Raises `RunNotFound`, `RootNotManaged`, `RootNotWritten`.
    """
    path = require_managed(root)
    with locked(path):
        if not is_run(path, version):
            raise not_found(path, version)
        _refuse_link(path)
        try:
            (path / PINS).mkdir(exist_ok=True)
        except OSError as error:
            raise not_written(path / PINS, error) from error
        replace_durably(path / PINS / version, note.encode("utf-8", "backslashreplace"))


def unpin(root: str | os.PathLike[str], version: str) -> None:
    """Let a version go again; raise `RunNotFound` for one that has no pin."""
    path = require_managed(root)
    with locked(path):
        if RunId.parse(version) is None or not os.path.lexists(path / PINS / version):
            raise RunNotFound(f"Version {version} has no pin.", "Nothing was changed.")
        _refuse_link(path)
        try:
            (path / PINS / version).unlink()
            sync(path / PINS)
        except OSError as error:
            raise not_written(path / PINS / version, error) from error


def pinned(root: Path) -> dict[str, str]:
    """Return the reason of each pin by version; a root without pins has none.

    Raises `RootNotWritten` for pins that cannot be read: what they protect is unknown.
    """
    notes: dict[str, str] = {}
    _refuse_link(root)
    try:
        for name in os.listdir(root / PINS):
            if RunId.parse(name) is not None:
                notes[name] = _note(root / PINS / name)
    except FileNotFoundError:
        return notes
    except OSError as error:
        raise not_written(root / PINS, error) from error
    return notes


def _refuse_link(root: Path) -> None:
    """Raise `RootNotWritten` where the pins lie behind a link: nothing of a root is outside it."""
    if (root / PINS).is_symlink():
        raise not_written(root / PINS, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))


def _note(path: Path) -> str:
    """Return what a pin says; one that is a link says nothing: what it leads to is somebody else's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return ""
        raise
    with os.fdopen(descriptor, "rb") as file:
        return file.read(1000).decode("utf-8", "replace").strip()


def not_found(root: Path, version: str) -> RunNotFound:
    """Return the error of a version that is not there."""
    return RunNotFound(f"Version {version} not found.", f"`list` shows those of '{root}'.")
