"""Which directories may be registered."""

from __future__ import annotations

import os
from pathlib import Path

from mm_core.errors import InvalidRoot, PayloadChanged

LONGEST_PATH = 4095
"""Bytes of a path that the system takes; to resolve a longer one takes time by the square of its parts."""


def checked_root(root_path: str, allowed: tuple[Path, ...] | None) -> Path:
    """Return the absolute path of a directory that may be registered, links resolved; raise `InvalidRoot`."""
    if not root_path.strip() or "\0" in root_path:
        raise InvalidRoot("The root path is empty or has a NUL character. Give the path of a directory.")
    if len(root_path.encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        raise InvalidRoot(
            f"Root '{root_path[:500]}…' is longer than a path can be ({LONGEST_PATH:,} bytes). Give a shorter one."
        )
    try:
        root = Path(os.path.realpath(Path(root_path).expanduser()))
    except (OSError, RuntimeError) as error:
        raise InvalidRoot(f"Root '{root_path[:500]}' cannot be resolved ({error}). Give an absolute path.") from error
    try:
        str(root).encode()
    except UnicodeEncodeError:
        raise InvalidRoot(f"The path of root '{root}' is not UTF-8 text. Rename the directory.") from None
    if allowed is not None and not any(_is_below(root, Path(os.path.realpath(base))) for base in allowed):
        listed = ", ".join(str(base) for base in allowed)
        raise InvalidRoot(
            f"Root '{root}' is outside the allowed roots ({listed}). Move the artifacts there, or extend "
            "MODEL_MANAGER_ARTIFACT_ROOTS."
        )
    try:
        exists, is_directory = root.exists(), root.is_dir()
    except OSError as error:
        raise InvalidRoot(f"Root '{root}' cannot be looked at ({error.strerror}). Check its permissions.") from error
    if not exists:
        raise InvalidRoot(f"Root '{root}' does not exist on this server. Create it, or correct the path.")
    if not is_directory:
        raise InvalidRoot(f"Root '{root}' is not a directory. Register the directory that holds the artifacts.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise InvalidRoot(f"Root '{root}' is not readable. Grant read and execute to the user of this service.")
    return root


def root_to_read_again(root_path: str, allowed: tuple[Path, ...] | None, lost: str) -> Path:
    """Return where a registered root leads now, as a refresh takes it, to read there what is ``lost``.

    Raises `PayloadChanged` where a refresh would be refused.
    """
    try:
        return checked_root(root_path, allowed)
    except InvalidRoot as error:
        raise PayloadChanged(
            f"The {lost} is no longer kept, and its file cannot be read. {error.detail} Ask again after that."
        ) from error


def root_identity(root: Path) -> tuple[int, int]:
    """Return what tells a directory from one that took its name; raise `InvalidRoot` where there is none any more."""
    try:
        status = os.lstat(root)
    except OSError as error:
        raise InvalidRoot(f"Root '{root}' vanished while it was read ({error.strerror}). Restore it.") from error
    return status.st_dev, status.st_ino


def _is_below(path: Path, base: Path) -> bool:
    return path == base or base in path.parents
