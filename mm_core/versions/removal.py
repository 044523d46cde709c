"""A plan is carried out: into a trash directory by one rename each, then away."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from mm_core.versions.directories import content_of, is_run, run_ids
from mm_core.versions.latest import AS_LATEST, kept_as_latest, point_latest, pointed_at
from mm_core.versions.managed import locked, not_written, require_managed, sync
from mm_core.versions.pins import pinned
from mm_core.versions.plans import (
    LOCK_ENDING,
    TRASH,
    Identity,
    Leftover,
    Protected,
    Removal,
    RemovalPlan,
    claimed,
    leftovers_of,
    newest,
    reason_to_stay,
)

Settled = Callable[[], AbstractContextManager[None]]
"""Begins a block in which what protects versions does not change."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Removed:
    """What a plan came to: versions that are gone, planned ones that stayed, what is left in the trash, and why."""

    versions: tuple[str, ...]
    stayed: tuple[Protected, ...]
    in_trash: tuple[str, ...]
    freed_bytes: int


def execute(plan: RemovalPlan, settled: Settled = nullcontext) -> Removed:
    """Carry out a plan; each version is looked at again, and stays if anything speaks for it by now.

    Who protects versions is asked once more when they are in the trash, as a version may be deployed between question
    and move; what must stay then is put back. That is asked within ``settled``: whoever deploys a version meanwhile
    has finished before, or finds it gone.

    A version goes as a whole: it is renamed into the trash of its root before its first file is removed. Raises
    `RootNotManaged`, `RootBusy`, and `RootNotWritten` where nothing could be moved.
    """
    root = require_managed(plan.root)
    if not plan.removals and not plan.leftovers:
        return Removed((), (), (), 0)
    gone: dict[str, Removal] = {}
    stayed: list[Protected] = []
    trashed: dict[str, int] = {}
    with _opened(root) as (place, trash):
        with locked(root):
            reasons, follower = _reasons(plan, root)
            if follower is not None and not any(reasons.values()):
                point_latest(root, follower)
            for removal in reversed(plan.removals):
                reason = reasons[removal.version]
                target = f"{removal.version}-{uuid.uuid4().hex[:8]}"
                if reason is None:
                    reason = _move(place, removal.version, trash, target, removal.identity)
                if reason is None:
                    gone[target] = removal
                    trashed[target] = removal.size_bytes
                else:
                    stayed.append(Protected(removal.version, reason))
            for target, reason in _late_reasons(plan, settled, gone, place, trash).items():
                stayed.append(Protected(gone.pop(target).version, reason))
                del trashed[target]
            trashed |= _move_leftovers(plan.leftovers, root, place, trash)
            sync(root)
        kept = {name: reason for name in trashed if (reason := _remove(trash, name)) is not None}
    return Removed(
        versions=tuple(removal.version for removal in reversed(gone.values())),
        stayed=tuple(reversed(stayed)),
        in_trash=tuple(f"'{root / TRASH / name}': {reason}" for name, reason in kept.items()),
        freed_bytes=sum(size for name, size in trashed.items() if name not in kept),
    )


def _move_leftovers(planned: tuple[Leftover, ...], root: Path, place: int, trash: int) -> dict[str, int]:
    """Return sizes in bytes of what is in the trash now, by name."""
    moved = {}
    still = {leftover.path for leftover in leftovers_of(root)}
    for leftover in planned:
        folder, _, name = leftover.path.rpartition("/")
        if leftover.path not in still:
            continue
        if folder == TRASH:
            moved[name] = leftover.size_bytes
            continue
        with claimed(root, name) as is_nobodys:
            if not is_nobodys:
                continue
            if name.endswith(LOCK_ENDING):  # away at once: whoever opened it just now sees that it has no name
                with suppress(OSError):
                    os.unlink(name, dir_fd=place)
                continue
            target = f"{name}-{uuid.uuid4().hex[:8]}"
            if _move(place, name, trash, target, None) is None:
                moved[target] = leftover.size_bytes
    return moved


def _reasons(plan: RemovalPlan, root: Path) -> tuple[dict[str, str | None], str | None]:
    """Return by version why it stays after all, and what `latest` has to be moved to if none does.

    Everybody is asked before anything is moved.
    """
    ids = run_ids(root)
    kept = newest(root, ids, plan.keep)
    pins = pinned(root)
    pointed = kept_as_latest(root, ids)
    follower = None
    if plan.next_latest is not None and is_run(root, plan.next_latest):
        named = pointed_at(root, ids)
        if any(removal.version in named for removal in plan.removals):
            follower = plan.next_latest
            named = frozenset({follower})
        pointed = dict.fromkeys(named, AS_LATEST)
    reasons: dict[str, str | None] = {}
    for removal in plan.removals:
        version = removal.version
        if not is_run(root, version):
            reasons[version] = "it is gone, or is no directory any more."
        elif version in kept:
            reasons[version] = f"it is one of the newest {plan.keep} by now."
        else:
            reasons[version] = reason_to_stay(root, version, content_of(root / version), pointed, pins, plan.protect)
    return reasons, follower


def _late_reasons(
    plan: RemovalPlan, settled: Settled, moved: Mapping[str, Removal], place: int, trash: int
) -> dict[str, str]:
    """Return why some of what was moved has to stay after all, by its name in the trash; it is back in its place then.

    Where that cannot be told, everything is put back.
    """
    protect = plan.protect
    if protect is None or not moved:
        return {}
    try:
        with settled():
            reasons = {target: protect(removal.version) for target, removal in moved.items()}
    except BaseException:
        for target, removal in moved.items():
            _put_back(target, removal.version, place, trash)
        raise
    late = {target: reason for target, reason in reasons.items() if reason is not None}
    return {target: reason + _put_back(target, moved[target].version, place, trash) for target, reason in late.items()}


def _put_back(target: str, version: str, place: int, trash: int) -> str:
    """Move a version out of the trash; return what to add to its reason where that cannot be."""
    try:
        os.rename(target, version, src_dir_fd=trash, dst_dir_fd=place)
    except OSError as error:
        return f" It is '{TRASH}/{target}' and cannot be moved back ({error.strerror}): do so before the next cleanup."
    return ""


@contextmanager
def _opened(root: Path) -> Iterator[tuple[int, int]]:
    """Give descriptors of a root and of its trash, which is made where it is missing, and may not be a link."""
    place = os.open(root, _DIRECTORY)
    try:
        try:
            if not os.path.lexists(root / TRASH):
                os.mkdir(TRASH, dir_fd=place)
            trash = os.open(TRASH, _DIRECTORY, dir_fd=place)
        except OSError as error:
            raise not_written(root / TRASH, error) from error
        try:
            yield place, trash
        finally:
            os.close(trash)
    finally:
        os.close(place)


def _move(place: int, name: str, trash: int, target: str, identity: Identity | None) -> str | None:
    """Move an entry into the trash; return why it stays if it does. A link is moved itself, never followed."""
    try:
        before = os.stat(name, dir_fd=place, follow_symlinks=False)
        if identity is not None and not (stat.S_ISDIR(before.st_mode) and identity == (before.st_dev, before.st_ino)):
            return "another directory has its name by now."
        os.rename(name, target, src_dir_fd=place, dst_dir_fd=trash)
    except OSError as error:
        return f"it cannot be moved ({error.strerror})."
    return None


def _remove(trash: int, name: str) -> str | None:
    try:
        status = os.stat(name, dir_fd=trash, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(name, dir_fd=trash)
        else:
            os.unlink(name, dir_fd=trash)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be removed ({error.strerror}); the next cleanup tries again."
    return None
