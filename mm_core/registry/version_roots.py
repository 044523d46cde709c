"""Where the files of versions are: what the scans of registered roots hold of a family."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mm_core.domain.findings import Finding
from mm_core.domain.groups import Scan
from mm_core.domain.models import RegisteredModel
from mm_core.domain.versions import Version
from mm_core.registry.shared_models import shared_elsewhere
from mm_core.store import StoreView


class VersionRoots(Protocol):
    """What the lifecycle of versions asks about files; ``names`` are a family's name and its other names."""

    def paths(self, view: StoreView, names: Collection[str]) -> Mapping[str, tuple[Path, ...]]:
        """Return the directories of each version of a family: several where nobody can tell which one is meant.

        Empty where no registered root holds any.
        """

    def findings(self, view: StoreView, names: Collection[str], version: str) -> tuple[Finding, ...]:
        """Return what is wrong with the files of one of these versions, what it shares with others included."""


class ScannedRoots:
    """Looks into the scans; a directory that several registrations reach is one."""

    def paths(self, view: StoreView, names: Collection[str]) -> Mapping[str, tuple[Path, ...]]:
        """Return the directories of each version of a family, in the order of the registrations' names."""
        found: dict[str, list[Path]] = {}
        for model, _, version in versions_below(view, names):
            found.setdefault(version.name, []).append(Path(model.root_path, version.path))
        return {name: _each_once(paths) for name, paths in found.items()}

    def findings(self, view: StoreView, names: Collection[str], version: str) -> tuple[Finding, ...]:
        """Return what the last scan found wrong with the files of a version; of several, the first registration's."""
        for model, scan, found in versions_below(view, names):
            if found.name == version:
                shared = scan.twins_by_path.get(found.path, ())
                elsewhere = shared_elsewhere(view).get((model.name, found.path))
                return (*found.findings, *shared, *([elsewhere] if elsewhere is not None else []))
        return ()


def versions_below(
    view: StoreView, names: Collection[str] | None = None, registrations: Collection[str] | None = None
) -> Iterator[tuple[RegisteredModel, Scan, Version]]:
    """Yield each version that a registered root holds, with its registration and the scan that found it.

    ``names`` leave out versions that are called otherwise, ``registrations`` all other roots.
    """
    for model in view.models():
        scan = view.scan(model.name) if registrations is None or model.name in registrations else None
        if scan is None:
            continue
        for version in scan.versions.values():
            if names is None or (version.model_name or model.name) in names:
                yield model, scan, version


def expected_directories(view: StoreView, names: Sequence[str], version: str) -> tuple[Path, ...]:
    """Return where a version would be looked for: in the roots of its family where there are any, else in all.

    ``names`` are the family's name, then its other names.
    """
    of_family = {model.name: model for model, _, _ in versions_below(view, names)}
    models = list(of_family.values()) or view.models()
    return tuple(expected_below(Path(model.root_path), model.name, names, version) for model in models)


def expected_below(root: Path, registration: str, names: Sequence[str], version: str) -> Path:
    """Return where a version would be below a registered root, which may be that of one model or of several."""
    return root / version if registration in names else root / names[0] / version


def is_same_directory(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one directory, also where a mount shows it under both.

    One that was moved away just now, as into a trash, counts where it was: by its name and the directory around it.
    """
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    return _is_same_file(one, other) or (one.name == other.name and _is_same_file(one.parent, other.parent))


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _each_once(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the first path of each directory; one path alone is not looked at, for that takes the most time."""
    if len(paths) == 1:
        return tuple(paths)
    by_directory: dict[str, Path] = {}
    for path in paths:
        by_directory.setdefault(os.path.realpath(path), path)
    return tuple(by_directory.values())
