"""Where the files of versions are: what registered roots hold of a family."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from mm_core.artifacts.layouts.versions import version_directories
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_version import read_version
from mm_core.artifacts.tree import listed_file
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.version_records import version_id
from mm_core.domain.versions import VersionNumber
from mm_core.errors import InvalidRoot
from mm_core.registry.roots import checked_root
from mm_core.store import StoreView


class VersionRoots(Protocol):
    """What the lifecycle of versions asks about files; ``names`` are a family's name and its other names."""

    def paths(self, view: StoreView, names: Collection[str]) -> Mapping[str, Path]:
        """Return the directory of each version of a family; empty where no registered root holds any."""

    def findings(self, view: StoreView, names: Collection[str], version: str) -> tuple[Finding, ...]:
        """Return what is wrong with the files of one of these versions."""


class RegisteredRoots:
    """Looks below the registered roots: ``NAME/v1.1.0``, and ``v1.1.0`` where a registration itself has the name."""

    def __init__(self, limits: ReadingLimits, allowed_roots: tuple[Path, ...] | None) -> None:
        self._limits = limits
        self._allowed_roots = allowed_roots

    def paths(self, view: StoreView, names: Collection[str]) -> Mapping[str, Path]:
        """Return the directory of each version of a family; of two that hold one, the first in the order of roots."""
        found: dict[str, Path] = {}
        for folder in self._folders(view, names):
            try:
                with os.scandir(folder) as entries:
                    directories = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            except OSError:
                continue
            for name in directories:
                version = version_id(name)
                if version is not None:
                    found.setdefault(version, folder / name)
        return found

    def findings(self, view: StoreView, names: Collection[str], version: str) -> tuple[Finding, ...]:
        """Return what is wrong with the files of a version; a timestamped run is not looked into."""
        path = self.paths(view, names).get(version)
        if path is None or VersionNumber.parse(version) is None:
            return ()
        place = f"{path.parent.name}/{path.name}"
        try:
            with os.scandir(path) as entries:
                files = [
                    listed_file(f"{place}/{entry.name}", entry.name, entry.stat())
                    for entry in entries
                    if entry.is_file()
                ]
        except OSError as error:
            return (_unusable(place, f"The directory cannot be read ({error.strerror}).", "Check its permissions."),)
        listed = version_directories(files)
        if not listed:
            return (_unusable(place, "The directory holds none of a version's files.", "Copy them there."),)
        return read_version(path.parent.parent, listed[0], self._limits).findings

    def _folders(self, view: StoreView, names: Collection[str]) -> Iterator[Path]:
        for model in view.models():
            try:
                root = checked_root(model.root_path, self._allowed_roots)
            except InvalidRoot:
                continue
            yield from (root / name for name in names)
            if model.name in names:
                yield root


def _unusable(place: str, detail: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, "model-file-missing", f"{place}/model.txt", detail, remedy)
