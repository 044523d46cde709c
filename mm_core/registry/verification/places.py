"""Where versions are just now: registered roots listed anew, whatever their last scans say."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mm_core.artifacts.layouts import VersionFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import Listing, list_groups
from mm_core.artifacts.reading_defects import is_unread
from mm_core.artifacts.reading_pool import read_listed
from mm_core.artifacts.tree import UNREADABLE
from mm_core.artifacts.version_files import VersionReading
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Scan
from mm_core.domain.models import RegisteredModel
from mm_core.domain.version_records import version_id
from mm_core.domain.versions import Version
from mm_core.errors import InvalidRoot
from mm_core.registry.roots import checked_root
from mm_core.registry.version_roots import expected_below
from mm_core.store import StoreView

ROOT_IS_VERSION = "root-is-version"


@dataclass(frozen=True, slots=True)
class Place:
    """A version in its directory: its files read just now, and as the last scan has them in service.

    ``directory`` is absolute, links resolved; ``registration`` is the registered model whose root it is below.
    ``model_json`` is the text of a run's booster.
    """

    registration: str
    root: Path
    directory: Path
    version: Version
    served: Version | None
    model_json: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Root:
    model: RegisteredModel
    path: Path
    listing: Listing
    scan: Scan | None

    def holds(self, files: VersionFiles, names: Collection[str]) -> bool:
        return (files.model_name or self.model.name) in names


class VersionPlaces:
    """Registered roots as they are when it is made; nothing is stored, and a version is read when it is asked for."""

    def __init__(self, view: StoreView, limits: ReadingLimits, allowed_roots: Sequence[Path] | None) -> None:
        self._limits = limits
        self._roots: list[_Root] = []
        unread = []
        allowed = tuple(allowed_roots) if allowed_roots is not None else None
        for model in view.models():
            try:
                path = checked_root(model.root_path, allowed)
                self._roots.append(_Root(model, path, list_groups(path, limits), view.scan(model.name)))
            except InvalidRoot as error:
                unread.append(f"The root of '{model.name}' cannot be looked at. {error.detail}")
        self.unread = tuple(unread)
        """A sentence for each root that cannot be listed."""

    def find(self, names: Collection[str], version: str) -> tuple[Place, ...]:
        """Return the directories of a version, read now; one that several registrations reach is one place."""
        found: dict[str, list[tuple[_Root, VersionFiles]]] = {}
        for name in names:
            for root, files in self._by_name.get((name, version), ()):
                found.setdefault(os.path.realpath(root.path / files.path), []).append((root, files))
        return tuple(self._read(directory, ways) for directory, ways in found.items())

    def passed_over(self, names: Collection[str], version: str) -> tuple[Finding, ...]:
        """Return what the listings say of a version's directory, its files, or the directory of its model."""
        return tuple(
            finding
            for root in self._roots
            for finding in root.listing.findings
            if finding.severity is not Severity.INFO and _is_about(finding, root, names, version)
        )

    def closed(self, names: Collection[str], version: str) -> tuple[Path, ...]:
        """Return the directories on the way to a version, or in it, that cannot be listed."""
        return tuple(
            root.path / finding.file
            for root in self._roots
            for finding in root.listing.findings
            if finding.code == UNREADABLE and _is_about(finding, root, names, version)
        )

    def expected(self, names: Sequence[str], version: str) -> tuple[Path, ...]:
        """Return where a version would be looked for: in the roots of its family where there are any, else in all."""
        roots = [
            root for root in self._roots if any(root.holds(files, names) for files in root.listing.versions)
        ] or self._roots
        return tuple(expected_below(root.path, root.model.name, names, version) for root in roots)

    def all_versions(self) -> Iterator[tuple[str, str, Path]]:
        """Yield family, version and directory of each version that is there, each directory once."""
        seen = set()
        for root in self._roots:
            for files in root.listing.versions:
                directory, version = os.path.realpath(root.path / files.path), version_id(files.version_id)
                if directory not in seen and version is not None:
                    seen.add(directory)
                    yield files.model_name or root.model.name, version, Path(directory)

    def with_model(self, sha256: str) -> tuple[Path, ...]:
        """Return the directories, as the last scans know them, whose models have a digest."""
        return tuple(self._by_digest.get(sha256, ()))

    @cached_property
    def _by_name(self) -> dict[tuple[str, str | None], list[tuple[_Root, VersionFiles]]]:
        found: dict[tuple[str, str | None], list[tuple[_Root, VersionFiles]]] = {}
        for root in self._roots:
            for files in root.listing.versions:
                key = files.model_name or root.model.name, version_id(files.version_id)
                found.setdefault(key, []).append((root, files))
        return found

    @cached_property
    def _by_digest(self) -> dict[str, dict[Path, None]]:
        found: dict[str, dict[Path, None]] = {}
        for root in self._roots:
            listed = {files.path: files for files in root.listing.versions}
            for version in root.scan.versions.values() if root.scan is not None else ():
                files = listed.get(version.path)
                is_of_these_files = (
                    files is not None and files.files == version.files and not is_unread(version.findings)
                )
                if version.model is not None and is_of_these_files:
                    directory = Path(os.path.realpath(root.path / version.path))
                    found.setdefault(version.model.sha256, {})[directory] = None
        return found

    def _read(self, directory: str, ways: Sequence[tuple[_Root, VersionFiles]]) -> Place:
        root, files = ways[0]
        found = read_listed(root.path, [files], self._limits)
        reading = next(read for read in found if isinstance(read, VersionReading))
        scanned = (way.scan.versions.get(files.path) for way, files in ways if way.scan is not None)
        served = next((one for one in scanned if one is not None), None)
        return Place(root.model.name, root.path, Path(directory), reading.version, served, reading.model_json)


def _is_about(finding: Finding, root: _Root, names: Collection[str], version: str) -> bool:
    if finding.code == ROOT_IS_VERSION:
        return root.path.parent.name in names and version_id(root.path.name) == version
    parts = finding.file.split("/")
    around = root.model.name
    for part in parts:
        if around in names and version_id(part) == version:
            return True
        around = part
    return parts[-1] in names
