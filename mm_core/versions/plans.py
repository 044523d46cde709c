"""What a removal would remove, and what it would not: a plan comes before every destruction."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mm_core.domain.runs import LATEST, TRAINING_METADATA, RunId, model_of
from mm_core.errors import BadRequest, RunProtected
from mm_core.versions.directories import Content, content_of, is_run, run_ids
from mm_core.versions.latest import AS_LATEST, kept_as_latest, resolve_latest
from mm_core.versions.managed import TEMPORARY, require_managed, try_lock
from mm_core.versions.pins import not_found, pinned

TRASH = ".trash"
LOCK_ENDING = ".lock"
WRITING_SECONDS = 3600.0
"""A directory without metadata that changed since then may be the work of a training that writes in place."""

Protect = Callable[[str], str | None]
"""Says why a version must stay, None where nothing speaks for it: statuses are known above this room."""

Identity = tuple[int, int]
"""Device and inode."""

_UNFINISHED = re.compile(rf"{re.escape(TEMPORARY)}(?:\d{{8}}_\d{{6}}-\d+-[0-9a-f]{{8}}|(?:{LATEST}-)?[0-9a-f]{{32}})\Z")


@dataclass(frozen=True, slots=True)
class Removal:
    """A version that would go, and the directory that was meant: another of its name is not."""

    version: str
    size_bytes: int
    identity: Identity


@dataclass(frozen=True, slots=True)
class Protected:
    """A version that would go but for the reason."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a process left that is gone: relative to the root."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """What would go below ``root``, newest first, what would stay and why.

    ``kept`` are the newest versions, of which ``keep`` have a model; ``next_latest`` is what ``latest`` would be moved
    to first.
    """

    root: Path
    removals: tuple[Removal, ...] = ()
    protected: tuple[Protected, ...] = ()
    kept: tuple[str, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    keep: int = 1
    next_latest: str | None = None
    protect: Protect | None = field(default=None, compare=False, repr=False)

    @property
    def size_bytes(self) -> int:
        """What would be free afterwards."""
        return sum(one.size_bytes for one in self.removals) + sum(one.size_bytes for one in self.leftovers)


def plan_delete(
    root: str | os.PathLike[str], version: str, protect: Protect | None = None, *, next_latest: bool = False
) -> RemovalPlan:
    """Return the plan to remove one version; with ``next_latest``, ``latest`` is moved off it to the newest other one.

    Raises `RunNotFound` for anything but the name of a version, `RunProtected` for one that must stay,
    `RootNotManaged`, and `BadRequest` for the word "latest".
    """
    path = require_managed(root)
    ids = run_ids(path)
    if version == LATEST:
        target = resolve_latest(path, ids).version
        raise BadRequest(
            f"'{LATEST}' cannot be deleted. Name the version" + (f": {target} is meant." if target else ".")
        )
    if not is_run(path, version):
        raise not_found(path, version)
    follower = None
    pointed = kept_as_latest(path, ids)
    if next_latest and version in pointed:
        follower = resolve_latest(path, ids, without=version).version
        if follower is None:
            raise RunProtected(f"Version {version} stays: it is the only one. Publish another before you delete it.")
        pointed = {follower: AS_LATEST}
    content = content_of(path / version)
    reason = reason_to_stay(path, version, content, pointed, pinned(path), protect)
    if reason is not None:
        raise RunProtected(f"Version {version} stays: {reason}")
    return RemovalPlan(path, (_removal(path, version, content),), keep=0, next_latest=follower, protect=protect)


def plan_cleanup(root: str | os.PathLike[str], keep: int, protect: Protect | None = None) -> RemovalPlan:
    """Return the plan to remove all but the newest ``keep`` versions with a model, and those that are protected.

    What publishers left that were killed goes with them. Raises `BadRequest` unless ``keep`` is 1 or more,
    `RootNotManaged`.
    """
    if keep < 1:
        raise BadRequest(f"--keep {keep} would leave no version. Keep at least 1.")
    path = require_managed(root)
    ids = run_ids(path)
    pointed, pins = kept_as_latest(path, ids), pinned(path)
    removals, protected = [], []
    kept = newest(path, ids, keep)
    for version in map(str, ids[len(kept) :]):
        content = content_of(path / version)
        reason = reason_to_stay(path, version, content, pointed, pins, protect)
        if reason is None:
            removals.append(_removal(path, version, content))
        else:
            protected.append(Protected(version, reason))
    return RemovalPlan(
        path,
        tuple(removals),
        tuple(protected),
        kept=kept,
        leftovers=tuple(leftovers_of(path)),
        keep=keep,
        protect=protect,
    )


def newest(root: Path, ids: Sequence[RunId], keep: int) -> tuple[str, ...]:
    """Return the newest versions down to the one that is the ``keep``th with a model.

    What a failed training left between them is not counted: it would stay in the place of a version.
    """
    kept: list[str] = []
    for version in map(str, ids):
        if keep == 0:
            break
        kept.append(version)
        files = content_of(root / version).files
        keep -= any(files[name] for name in files if model_of(name) is not None)
    return tuple(kept)


def reason_to_stay(
    root: Path,
    version: str,
    content: Content,
    pointed: Mapping[str, str],
    pins: dict[str, str],
    protect: Protect | None,
) -> str | None:
    """Return why a version must not be removed, as a sentence, None where nothing speaks for it."""
    if version in pointed:
        return pointed[version]
    if version in pins:
        return "it is pinned" + (f": {pins[version]}" if pins[version] else ".")
    reason = protect(version) if protect is not None else None
    if reason is not None:
        return reason
    if LOCK_ENDING in content.files:
        return f"'{LOCK_ENDING}' is in it, so a process may be writing it."
    if TRAINING_METADATA not in content.files and time.time() - content.changed_at < WRITING_SECONDS:
        return "it has no metadata yet and changed within the last hour, so a training may be writing it."
    if content.mounted:
        return "another file system is mounted in it."
    if not content.whole:
        return "not all of it can be read."
    return None


def leftovers_of(root: Path) -> Iterator[Leftover]:
    """Yield what publishers and removals left that were killed: nothing that a living process still works on."""
    for name in sorted(_names(root)):
        if _UNFINISHED.match(name.removesuffix(LOCK_ENDING)):
            with claimed(root, name) as is_nobodys:
                pass
            if is_nobodys:
                yield Leftover(name, content_of(root / name).size_bytes)
    if not (root / TRASH).is_symlink():
        for name in sorted(_names(root / TRASH)):
            yield Leftover(f"{TRASH}/{name}", content_of(root / TRASH / name).size_bytes)


@contextmanager
def claimed(root: Path, name: str) -> Iterator[bool]:
    """Tell whether an unfinished run is nobody's; if so, nobody can begin to write it within the block."""
    path = root / (name.removesuffix(LOCK_ENDING) + LOCK_ENDING)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        yield isinstance(error, FileNotFoundError)
        return
    try:
        yield try_lock(descriptor)
    finally:
        os.close(descriptor)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _removal(root: Path, version: str, content: Content) -> Removal:
    status = os.lstat(root / version)
    return Removal(version, content.size_bytes, (status.st_dev, status.st_ino))
