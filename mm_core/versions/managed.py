"""Roots that were given into our hands: only below these is anything published, moved or removed."""

from __future__ import annotations

import errno
import fcntl
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mm_core import strict_json
from mm_core.errors import InvalidRoot, RootBusy, RootNotManaged, RootNotWritten

MARKER = ".model-manager-root.json"
LOCK = ".model-manager-root.lock"
TEMPORARY = ".tmp-"
"""How names begin of what was never finished."""

FORMAT = 2
UNBOUND = 1
"""The format of markers that name no directory: those of data that comes with a program, and of earlier versions."""

LOCK_SECONDS = 60.0


def real_root(root: str | os.PathLike[str]) -> Path:
    """Return the directory ``root`` by its path without links; raise `InvalidRoot` where there is none."""
    try:
        path = Path(os.path.realpath(root, strict=True))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidRoot(
            f"'{os.fspath(root)}' cannot be opened ({reason}). Name the directory of the runs."
        ) from error
    if not path.is_dir():
        raise InvalidRoot(f"'{os.fspath(root)}' is no directory. Name the directory of the runs.")
    return path


def init(directory: str | os.PathLike[str], *, with_copies: bool = False) -> Path:
    """Make a directory a managed root and return its path without links; a managed one stays as it is.

    The directory is made where it is missing. What is in it stays. The marker names the directory, by path and by
    device and inode: a copy elsewhere is no managed root until it is given over itself, but for a root that was made
    ``with_copies``, as data that comes with a program. Raises `InvalidRoot` for a directory that cannot be meant for
    runs alone, `RootNotWritten` where it cannot be written.
    """
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise not_written(directory, error) from error
    path = real_root(directory)
    if path == Path(path.anchor) or path == Path.home().resolve():
        raise InvalidRoot(f"'{path}' cannot be given over for runs alone. Make a directory for them below it.")
    known = _marker(path) if os.path.lexists(path / MARKER) else {}
    wanted = UNBOUND if with_copies else FORMAT
    if known.get("format") != wanted or not (with_copies or _is_of(known, path)):
        created_at = known.get("created_at") or datetime.now(UTC).isoformat(timespec="seconds")
        document = {"format": wanted, "kind": "runs", "created_at": created_at}
        if not with_copies:
            status = os.stat(path)
            document |= {"path": _spelt(path), "device": status.st_dev, "inode": status.st_ino}
        replace_durably(path / MARKER, strict_json.encode_for_people(document))
    return require_managed(path)


def require_managed(root: str | os.PathLike[str]) -> Path:
    """Return a managed root by its path without links; raise `RootNotManaged` for any other directory."""
    path = real_root(root)
    document = _marker(path)
    if document["format"] != UNBOUND and not _is_of(document, path):
        raise RootNotManaged(
            f"'{path}' is read only here: its '{MARKER}' was made for '{str(document.get('path'))[:1000]}', so it is a "
            "copy, or was moved to another file system. If its runs may be published, moved and removed by these "
            f"commands, run: python -m mm_core init '{path}'"
        )
    return path


def _is_of(document: Mapping[str, Any], path: Path) -> bool:
    """Return whether a marker was made for this directory: in the place that it names, or the same one elsewhere.

    Numbers of devices change when a machine starts anew, numbers of inodes when files are restored: one of the two is
    enough, and a copy elsewhere has neither.
    """
    if document.get("path") == _spelt(path):
        return True
    status = os.stat(path)
    return (document.get("device"), document.get("inode")) == (status.st_dev, status.st_ino)


def _spelt(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _marker(path: Path) -> dict[str, Any]:
    """Return what `init` wrote into a directory; raise `RootNotManaged` where it is nothing of the kind."""
    try:
        descriptor = os.open(path / MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            document = strict_json.decode(file.read(4096))
    except FileNotFoundError as error:
        raise RootNotManaged(
            f"'{path}' is read only here: nobody made it a managed root. If its runs may be published, moved and "
            f"removed by these commands, run: python -m mm_core init '{path}'"
        ) from error
    except (OSError, strict_json.NotJson) as error:
        raise RootNotManaged(
            f"'{path / MARKER}' is not what `init` wrote, so '{path}' stays read only. Remove that file and run "
            "`python -m mm_core init` again."
        ) from error
    number = document.get("format") if isinstance(document, dict) else None
    if not isinstance(document, dict) or number not in (UNBOUND, FORMAT):
        raise RootNotManaged(
            f"'{path / MARKER}' has format {number!r}, this version knows {FORMAT}. Use the version of Model Manager "
            "that made it a managed root."
        )
    return document


@contextmanager
def locked(root: Path, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """Keep other processes from changing a managed root meanwhile; raise `RootBusy` after ``patience`` seconds."""
    try:
        descriptor = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise not_written(root / LOCK, error) from error
    try:
        _wait_for(descriptor, root, patience)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file unless another process has it; return whether it is ours."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for(descriptor: int, root: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while not try_lock(descriptor):
        if time.monotonic() > until:
            raise RootBusy(f"Another process has been changing '{root}' for {patience:.0f} seconds. Try again.")
        time.sleep(0.01)


def replace_durably(path: Path, data: bytes) -> None:
    """Write a small file whole, or leave what was there; raise `RootNotWritten`."""
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise not_written(path, error) from error


def sync(path: Path) -> None:
    """Make a file's content, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def not_written(path: str | os.PathLike[str], error: OSError) -> RootNotWritten:
    """Return what to tell of a change that the system refused: what, why, what to do."""
    remedies = {
        errno.EACCES: "Give the directory write permission for this user.",
        errno.EROFS: "The file system is mounted read only.",
        errno.ENOSPC: "Free some space: `cleanup` removes old versions.",
        errno.EDQUOT: "Free some space: `cleanup` removes old versions.",
    }
    remedy = remedies.get(error.errno or 0, "Look at the directory and its file system.")
    return RootNotWritten(f"'{os.fspath(path)}' cannot be changed ({error.strerror}). {remedy}")
