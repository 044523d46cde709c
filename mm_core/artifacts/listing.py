"""Which files form which groups and versions: from a listing of the whole root, or from a look at what changed."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mm_core.artifacts.latest import find_latest
from mm_core.artifacts.layouts import LAYOUTS, GroupFiles, Layout, Listed, Siblings, VersionFiles, version_key
from mm_core.artifacts.layouts.timestamped_runs import is_beside_runs
from mm_core.artifacts.layouts.version_directories import holds_groups
from mm_core.artifacts.limits import READING_RULES, VERSION_RULES, ReadingLimits
from mm_core.artifacts.tree import UNREADABLE, ListedFile, is_listed_name, list_tree, listed_file
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, Scan
from mm_core.domain.runs import LATEST, POINTER
from mm_core.domain.versions import Version, VersionLayout
from mm_core.errors import InvalidRoot

Known = Group | Version

NO_GROUPS = "no-groups"
"""The finding about a root below which nothing is of a known kind."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of every group below a root, in the order of their keys, what was passed over, and of every version.

    Versions are in the order of their paths; ``latest`` is as a `Scan` has it. Groups and versions together are known
    by the ``key`` of their files.
    """

    groups: tuple[GroupFiles, ...]
    findings: tuple[Finding, ...]
    versions: tuple[VersionFiles, ...] = ()
    latest: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing below the root is of a known kind."""
        return any(finding.code == NO_GROUPS for finding in self.findings)

    def by_key(self) -> dict[str, Listed]:
        """Return all groups, then all versions."""
        listed: tuple[Listed, ...] = (*self.groups, *self.versions)
        return {files.key: files for files in listed}

    def differs_from(self, scan: Scan) -> bool:
        """Return whether names, sizes or times differ from those that a scan read, or it read by older rules.

        What is hidden does not differ.
        """
        hidden = self.hidden_of(scan)
        shown = {key: files for key, files in self.by_key().items() if key not in hidden}
        known = known_by_key(scan)
        return (
            self.findings != scan.findings
            or dict(self.latest) != dict(scan.latest)
            or list(shown) != [key for key in known if key not in hidden]
            or any(known[key].files != files.files for key, files in shown.items())
            or any(not is_read_by_todays_rules(known[key]) for key in shown)
        )

    def hidden_of(self, scan: Scan) -> frozenset[str]:
        """Return the keys of what a scan has of which a file is in a directory that cannot be listed just now."""
        closed = tuple(one.file.rstrip("/") + "/" for one in self.findings if one.code == UNREADABLE)
        if not closed:
            return frozenset()
        return frozenset(
            key
            for key, known in known_by_key(scan).items()
            if any(file.path.startswith(closed) for file in known.files)
        )

    def without_restless(
        self, previous: Scan, since_ns: int, now_ns: int, impatient_of: Collection[str]
    ) -> tuple[Listing, tuple[Listed, ...]]:
        """Return this listing with what is restless as it was in ``previous``, and that.

        Restless are groups and versions of which a file changed between ``since_ns`` and ``now_ns`` (nanoseconds since
        the epoch), but for those with a key in ``impatient_of``. Later times are those of file servers whose clocks
        differ: they tell nothing.
        """
        before = known_by_key(previous)
        kept: list[Listed] = []
        restless: list[Listed] = []
        for key, files in self.by_key().items():
            known = before.get(key)
            if (
                key in impatient_of
                or (known is not None and known.files == files.files)
                or not any(since_ns < file.changed_ns <= now_ns for file in files.files)
            ):
                kept.append(files)
                continue
            restless.append(files)
            if known is not None:
                kept.append(replace(files, files=known.files))
        groups = tuple(files for files in kept if isinstance(files, GroupFiles))
        versions = tuple(files for files in kept if isinstance(files, VersionFiles))
        return Listing(groups, self.findings, versions, self.latest), tuple(restless)


def known_by_key(scan: Scan) -> dict[str, Known]:
    """Return the groups, then the versions of a scan, by the keys of their files."""
    known: dict[str, Known] = dict(scan.groups)
    known.update((version_key(path), version) for path, version in scan.versions.items())
    return known


def is_read_by_todays_rules(known: Known) -> bool:
    """Return whether the readers of today would read nothing else in the same files."""
    return known.rules == (VERSION_RULES if isinstance(known, Version) else READING_RULES)


def list_groups(root: Path, limits: ReadingLimits) -> Listing:
    """Return the files of every group and version below ``root``.

    Raises `InvalidRoot` when the root itself cannot be listed.
    """
    try:
        tree = list_tree(root, limits)
    except OSError as error:
        raise InvalidRoot(
            f"Root '{root}' cannot be listed ({error.strerror}). Check that it is a directory this service may read."
        ) from error
    groups: dict[str, GroupFiles] = {}
    versions: dict[str, VersionFiles] = {}
    findings = list(tree.findings)
    is_version = _is_version_itself(root, tree.files)
    left: Sequence[ListedFile] = tree.files if not is_version else ()
    for layout in LAYOUTS:
        claim = layout.claim(left)
        groups.update({files.group_key: files for files in claim.groups})
        versions.update({files.path: files for files in claim.versions})
        findings += claim.findings
        if claim.paths:
            left = [file for file in left if file.path not in claim.paths]
    pointers = find_latest(root, tree, tuple(versions.values()))
    findings += pointers.findings
    if is_version:
        findings.append(
            Finding(
                Severity.WARNING,
                "root-is-version",
                ".",
                f"The root '{root.name}' is itself a version or a run: its files form nothing below it.",
                f"Register '{root.parent}'.",
            )
        )
    elif not groups and not versions:
        findings.append(
            Finding(
                Severity.WARNING,
                NO_GROUPS,
                ".",
                "No file below the root has a known suffix, and no directory is a version or a run.",
                "Register the directory that holds files such as BTCUSDT_mid_chg_1m_model.json.",
            )
        )
    return Listing(
        tuple(groups[key] for key in sorted(groups)),
        tuple(findings),
        tuple(versions[path] for path in sorted(versions)),
        pointers.latest,
    )


def _is_version_itself(root: Path, files: Sequence[ListedFile]) -> bool:
    """Return whether a layout would take the whole root, were it seen from the directory around it."""
    if not _may_be_version(root.name):
        return False
    seen = [replace(file, path=f"{root.name}/{file.path}") for file in files]
    return any(version.path == root.name for layout in LAYOUTS for version in layout.claim(seen).versions)


def look_again(root: Path, previous: Scan, paths: Collection[str], limits: ReadingLimits) -> Listing | None:
    """Return what `list_groups` would, from a look at the files beside the absolute ``paths`` that changed.

    None means that only a listing of the whole root tells: something else than regular files of one folder is touched,
    a version or its whereabouts, the root may be a version, a name hides characters, a folder is a link or too deep,
    two names stand for one file, or the scan before had findings.
    findings.
    """
    if previous.findings or _may_be_version(root.name):
        return None
    groups = {key: GroupFiles(key, group.files) for key, group in previous.groups.items()}
    versions = tuple(
        VersionFiles(version.layout, version.model_name, version.version_id, version.path, version.files)
        for version in previous.versions.values()
    )
    places = {os.path.dirname(one.path) for one in versions if one.layout is VersionLayout.RUNS}
    names_of_inode = Counter(file.inode for known in known_by_key(previous).values() for file in known.files)
    for path in sorted(paths):
        relative = os.path.relpath(path, root)
        if relative.startswith("..") or relative == ".":
            return None
        *folders, name = relative.split(os.sep)
        if any(part.startswith(".") for part in (*folders, name)):
            continue
        if name == POINTER or LATEST in (*folders, name) or any(map(_may_be_version, (*folders, name))):
            return None
        if len(folders) > limits.tree_depth or not all(map(_is_told_exactly, (*folders, name))):
            return None
        layout, siblings = _siblings(name)
        if siblings is None:
            listed: tuple[Listed, ...] = (*groups.values(), *versions)
            if os.path.lexists(path) or any(_has_below(files, relative + "/") for files in listed):
                return None
            continue
        folder = os.path.dirname(relative)
        before = groups.pop(siblings.group_key, None)
        for file in before.files if before is not None else ():
            if os.path.dirname(file.path) != folder or names_of_inode[file.inode] > 1:
                return None
        files = _regular_files(root, folder, siblings.names) if _holds_no_link(root, folders) else None
        if files is None or any(names_of_inode[file.inode] > 1 for file in files):
            return None
        if is_beside_runs(folder, places) and not holds_groups([file.name for file in files]):
            return None
        groups.update({found.group_key: found for found in layout.claim(files).groups})
    if not groups and not versions:
        return None
    return Listing(tuple(groups[key] for key in sorted(groups)), (), versions, previous.latest)


def _has_below(files: Listed, folder: str) -> bool:
    return any(file.path.startswith(folder) for file in files.files)


def _may_be_version(name: str) -> bool:
    return any(layout.may_claim(name) for layout in LAYOUTS)


def _siblings(name: str) -> tuple[Layout, Siblings | None]:
    for layout in LAYOUTS:
        siblings = layout.siblings(name)
        if siblings is not None:
            return layout, siblings
    return LAYOUTS[0], None


def _is_told_exactly(name: str) -> bool:
    """Return whether a listing takes this name, and events could tell it as it is: others come with a stand-in."""
    return is_listed_name(name) and "\N{REPLACEMENT CHARACTER}" not in name


def _holds_no_link(root: Path, folders: Sequence[str]) -> bool:
    """Return whether no folder on the way is a link, which a listing does not follow."""
    place = root
    for folder in folders:
        place /= folder
        if place.is_symlink():
            return False
    return True


def _regular_files(root: Path, folder: str, names: Sequence[str]) -> list[ListedFile] | None:
    """Return those of some files that are there, None where one of them is anything else than a regular file."""
    found = []
    for name in names:
        path = f"{folder}/{name}" if folder else name
        try:
            status = os.lstat(root / path)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        found.append(listed_file(path, name, status))
    return found
