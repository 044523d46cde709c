"""Where the files of versions are: what the scans of registered roots hold of a family."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from mm_core.domain.findings import Finding
from mm_core.domain.versions import Version
from mm_core.store import StoreView


class VersionRoots(Protocol):
    """What the lifecycle of versions asks about files; ``names`` are a family's name and its other names."""

    def paths(self, view: StoreView, names: Collection[str]) -> Mapping[str, Path]:
        """Return the directory of each version of a family; empty where no registered root holds any."""

    def findings(self, view: StoreView, names: Collection[str], version: str) -> tuple[Finding, ...]:
        """Return what is wrong with the files of one of these versions."""


class ScannedRoots:
    """Looks into the scans: of two that hold a version, the one of the first registration by name counts."""

    def paths(self, view: StoreView, names: Collection[str]) -> Mapping[str, Path]:
        """Return the directory of each version of a family."""
        return {name: path for name, (path, _) in self._versions(view, names).items()}

    def findings(self, view: StoreView, names: Collection[str], version: str) -> tuple[Finding, ...]:
        """Return what the last scan found wrong with the files of a version."""
        found = self._versions(view, names).get(version)
        return found[1].findings if found is not None else ()

    def _versions(self, view: StoreView, names: Collection[str]) -> dict[str, tuple[Path, Version]]:
        found: dict[str, tuple[Path, Version]] = {}
        for root, registered_as, version in _scanned(view):
            if (version.model_name or registered_as) in names:
                found.setdefault(version.name, (root / version.path, version))
        return found


def _scanned(view: StoreView) -> Iterator[tuple[Path, str, Version]]:
    for model in view.models():
        scan = view.scan(model.name)
        for version in scan.versions.values() if scan is not None else ():
            yield Path(model.root_path), model.name, version
