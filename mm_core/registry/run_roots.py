"""Roots of training runs that are registered: how large they are, and what a cleanup of one would take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mm_core import versions
from mm_core.domain.versions import VersionLayout
from mm_core.errors import InvalidRoot, ModelManagerError
from mm_core.registry.lifecycle import Lifecycle
from mm_core.registry.registration import Registrations
from mm_core.store import RegistryStore, StoreView
from mm_core.versions import RemovalPlan as CleanupPlan
from mm_core.versions import Removed

__all__ = ["CleanedUp", "CleanupPlan", "RunRoot", "RunRoots"]


@dataclass(frozen=True, slots=True)
class RunRoot:
    """A directory that holds runs, by its path without links; ``registrations`` are the models that reach it."""

    path: Path
    registrations: tuple[str, ...]
    runs: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What a cleanup came to; ``unread`` says of registrations why they still show what is gone."""

    removed: Removed
    unread: Mapping[str, str]


class RunRoots:
    """Plans cleanups of registered roots and carries them out; whatever runs or is pinned in the registry stays."""

    def __init__(self, store: RegistryStore, lifecycle: Lifecycle, registrations: Registrations) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._registrations = registrations

    def roots(self) -> tuple[RunRoot, ...]:
        """Return every directory of runs that the scans of registered roots know, by path."""
        return _roots_of(self._store.view())

    def plan_cleanup(self, root: Path, keep: int) -> CleanupPlan:
        """Return the plan to remove all but the newest ``keep`` runs of a root, and those that are protected.

        Raises `InvalidRoot` for a directory that no registration reaches, `RootNotManaged`, and `BadRequest` unless
        ``keep`` is 1 or more.
        """
        path = self._known(root).path
        return versions.plan_cleanup(path, keep, lambda version: self._lifecycle.reason_to_keep(path / version))

    def clean_up(self, plan: CleanupPlan) -> CleanedUp:
        """Carry out a plan, each run looked at again, then read the registrations anew that reach its root.

        Raises as `versions.execute`; nothing was removed then.
        """
        known = self._known(plan.root)
        removed = versions.execute(plan, self._lifecycle.settled)
        unread = {}
        for name in known.registrations:
            try:
                self._registrations.refresh(name)
            except ModelManagerError as error:
                unread[name] = error.detail
        return CleanedUp(removed, unread)

    def _known(self, root: Path) -> RunRoot:
        for one in self.roots():
            if one.path == root:
                return one
        raise InvalidRoot(f"No registered root holds runs in '{root}'. Register it first.")


def _roots_of(view: StoreView) -> tuple[RunRoot, ...]:
    sizes: dict[str, dict[str, int]] = {}
    names: dict[str, list[str]] = {}
    for model in view.models():
        scan = view.scan(model.name)
        for version in scan.versions.values() if scan is not None else ():
            if version.layout is VersionLayout.RUNS:
                root = os.path.realpath((Path(model.root_path) / version.path).parent)
                sizes.setdefault(root, {})[version.version_id] = version.size_bytes
                if model.name not in names.setdefault(root, []):
                    names[root].append(model.name)
    return tuple(
        RunRoot(Path(root), tuple(names[root]), len(of_root), sum(of_root.values()))
        for root, of_root in sorted(sizes.items())
    )
