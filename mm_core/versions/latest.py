"""Which run is the latest: by a link, by a pointer file where there are no links, by the newest directory."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mm_core.domain.runs import LATEST, POINTER, TRAINING_METADATA, RunId, models_of
from mm_core.versions.directories import content_of, is_run
from mm_core.versions.managed import TEMPORARY, locked, not_written, replace_durably, require_managed, sync
from mm_core.versions.pins import not_found

AS_LATEST = f"'{LATEST}' stands for it."
"""Why a run stays that is the latest."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The run that ``latest`` stands for: its name, never the word.

    ``source`` is "link", "file" or "newest", None where there is no run; ``problem`` says what is wrong with link or
    pointer file, None where nothing is, or where there is neither.
    """

    version: str | None
    source: str | None
    problem: str | None = None


def resolve_latest(root: Path, ids: Sequence[RunId], without: str | None = None) -> Latest:
    """Return the latest of the runs below ``root``, a path without links; ``ids`` are they, newest first.

    A link or a pointer file that does not lead to one of them, or leads to ``without``, is a problem, and the next way
    is taken. Trainings write their metadata last, so the newest with metadata is the newest; without any, the newest
    with a model, or at all.
    """
    problems: list[str] = []
    for source, read in (("link", _by_link), ("file", _by_file)):
        version, problem = read(root)
        if version is not None and version != without:
            return Latest(version, source, " ".join(problems) or None)
        if problem is not None:
            problems.append(problem)
    newest = _newest(root, [str(run) for run in ids if str(run) != without])
    return Latest(newest, "newest" if newest is not None else None, " ".join(problems) or None)


def pointed_at(root: Path, ids: Sequence[RunId]) -> frozenset[str]:
    """Return every run that somebody takes for the latest: by link, by pointer file, or as `resolve_latest` says."""
    found = {resolve_latest(root, ids).version, _by_link(root)[0], _by_file(root)[0]}
    return frozenset(version for version in found if version is not None)


def kept_as_latest(root: Path, ids: Sequence[RunId]) -> dict[str, str]:
    """Return every run that nobody may take without a word of ``latest``, and why, as a sentence.

    These are the runs of `pointed_at`, and the one that `resolve_latest` finds once link and pointer file are lost.
    """
    newest = _newest(root, [str(run) for run in ids])
    found = {newest: f"'{LATEST}' would stand for it without a link or file."} if newest is not None else {}
    return found | dict.fromkeys(pointed_at(root, ids), AS_LATEST)


def move_latest(root: str | os.PathLike[str], version: str) -> None:
    """Make ``latest`` stand for a version, at once and durably.

    Raises `RunNotFound`, `RootNotManaged`, `RootNotWritten`; then it stands for what it did.
    """
    path = require_managed(root)
    with locked(path):
        if not is_run(path, version):
            raise not_found(path, version)
        point_latest(path, version)


def point_latest(root: Path, version: str) -> None:
    """Move the link of a locked root; where there can be no link, write the pointer file instead.

    Whatever happens meanwhile, one of both leads to the old or to the new version. Raises `RootNotWritten`.
    """
    link, pointer = root / LATEST, root / POINTER
    temporary = root / f"{TEMPORARY}{LATEST}-{uuid.uuid4().hex}"
    try:
        os.symlink(version, temporary)
        os.replace(temporary, link)
        sync(root)
    except OSError:  # FAT knows no links, and a directory may have the link's name
        with suppress(OSError):
            os.unlink(temporary)
        replace_durably(pointer, f"{version}\n".encode())
        _drop(link, stat.S_ISLNK)
    else:
        _drop(pointer, stat.S_ISREG)


def _drop(path: Path, is_pointer: Callable[[int], bool]) -> None:
    """Remove what was the pointer before; an entry of another kind is somebody else's."""
    try:
        if is_pointer(os.lstat(path).st_mode):
            os.unlink(path)
            sync(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise not_written(path, error) from error


def _newest(root: Path, versions: Sequence[str]) -> str | None:
    with_model = None
    for run in versions:
        files = content_of(root / run).files
        if TRAINING_METADATA in files:
            return run
        if with_model is None and models_of(files):
            with_model = run
    return with_model or (versions[0] if versions else None)


def _by_link(root: Path) -> tuple[str | None, str | None]:
    try:
        target = os.readlink(root / LATEST)
    except FileNotFoundError:
        return None, None
    except OSError:
        return None, f"'{LATEST}' is no link."
    real = os.path.realpath(root / LATEST)
    parent, name = os.path.split(real)
    if parent == str(root) and is_run(root, name):
        return name, None
    what = "leads to nothing" if not os.path.lexists(real) else "leads to no version of this root"
    return None, f"'{LATEST}' -> '{target}' {what}."


def _by_file(root: Path) -> tuple[str | None, str | None]:
    try:
        descriptor = os.open(root / POINTER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(200).decode("utf-8", "replace").strip().removeprefix("\ufeff")
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"'{POINTER}' cannot be read ({error.strerror})."
    if is_run(root, text):
        return text, None
    return None, f"'{POINTER}' names '{text}', which is no version of this root."
