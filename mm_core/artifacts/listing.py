"""Which files form which groups: from a listing of the whole root, or from a look at what changed in it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mm_core.artifacts.layouts import LAYOUTS, GroupFiles, Layout, Siblings
from mm_core.artifacts.limits import READING_RULES, ReadingLimits
from mm_core.artifacts.tree import UNREADABLE, ListedFile, is_listed_name, list_tree, listed_file
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Scan
from mm_core.errors import InvalidRoot


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of every group below a root, in the order of their keys, and what was passed over."""

    groups: tuple[GroupFiles, ...]
    findings: tuple[Finding, ...]

    def differs_from(self, scan: Scan) -> bool:
        """Return whether names, sizes or times differ from those that a scan read, or it read by older rules.

        What is hidden does not differ.
        """
        hidden = self.hidden_of(scan)
        shown = {files.group_key: files for files in self.groups if files.group_key not in hidden}
        return (
            self.findings != scan.findings
            or list(shown) != [key for key in scan.groups if key not in hidden]
            or any(scan.groups[key].files != files.files for key, files in shown.items())
            or any(scan.groups[key].rules != READING_RULES for key in shown)
        )

    def hidden_of(self, scan: Scan) -> frozenset[str]:
        """Return the keys of a scan's groups of which a file is in a directory that cannot be listed just now."""
        closed = tuple(one.file.rstrip("/") + "/" for one in self.findings if one.code == UNREADABLE)
        if not closed:
            return frozenset()
        return frozenset(
            key for key, group in scan.groups.items() if any(file.path.startswith(closed) for file in group.files)
        )

    def without_restless(
        self, previous: Scan, since_ns: int, now_ns: int, impatient_of: Collection[str]
    ) -> tuple[Listing, tuple[GroupFiles, ...]]:
        """Return this listing with those groups as they were in ``previous`` of which a file changed between
        ``since_ns`` and ``now_ns`` (nanoseconds since the epoch), and these groups; ``impatient_of`` names exceptions.

        Later times are those of file servers whose clocks differ: they tell nothing.
        """
        kept, restless = [], []
        for files in self.groups:
            known = previous.groups.get(files.group_key)
            if (
                files.group_key in impatient_of
                or (known is not None and known.files == files.files)
                or not any(since_ns < file.changed_ns <= now_ns for file in files.files)
            ):
                kept.append(files)
                continue
            restless.append(files)
            if known is not None:
                kept.append(GroupFiles(files.group_key, known.files))
        return Listing(tuple(kept), self.findings), tuple(restless)


def list_groups(root: Path, limits: ReadingLimits) -> Listing:
    """Return the files of every group below ``root``; raise `InvalidRoot` when the root itself cannot be listed."""
    try:
        tree = list_tree(root, limits)
    except OSError as error:
        raise InvalidRoot(
            f"Root '{root}' cannot be listed ({error.strerror}). Check that it is a directory this service may read."
        ) from error
    groups: dict[str, GroupFiles] = {}
    findings = list(tree.findings)
    left = list(tree.files)
    for layout in LAYOUTS:
        claim = layout.claim(left)
        groups.update({files.group_key: files for files in claim.groups})
        findings += claim.findings
        left = [file for file in left if file.path not in claim.paths]
    if not groups:
        findings.append(
            Finding(
                Severity.WARNING,
                "no-groups",
                ".",
                "No file below the root has a known suffix.",
                "Register the directory that holds files such as BTCUSDT_mid_chg_1m_model.json.",
            )
        )
    return Listing(tuple(groups[key] for key in sorted(groups)), tuple(findings))


def look_again(root: Path, previous: Scan, paths: Collection[str], limits: ReadingLimits) -> Listing | None:
    """Return what `list_groups` would, from a look at the files beside the absolute ``paths`` that changed.

    None means that only a listing of the whole root tells: something else than regular files of one folder is touched,
    a name hides characters, a folder is a link or too deep, two names stand for one file, or the scan before had
    findings.
    """
    if previous.findings:
        return None
    groups = {key: GroupFiles(key, group.files) for key, group in previous.groups.items()}
    names_of_inode = Counter(file.inode for group in groups.values() for file in group.files)
    for path in sorted(paths):
        relative = os.path.relpath(path, root)
        if relative.startswith("..") or relative == ".":
            return None
        *folders, name = relative.split(os.sep)
        if any(part.startswith(".") for part in (*folders, name)):
            continue
        if len(folders) > limits.tree_depth or not all(map(_is_told_exactly, (*folders, name))):
            return None
        layout, siblings = _siblings(name)
        if siblings is None:
            if os.path.lexists(path) or any(
                file.path.startswith(relative + "/") for group in groups.values() for file in group.files
            ):
                return None
            continue
        folder = os.path.dirname(relative)
        known = groups.pop(siblings.group_key, None)
        for file in known.files if known is not None else ():
            if os.path.dirname(file.path) != folder or names_of_inode[file.inode] > 1:
                return None
        files = _regular_files(root, folder, siblings.names) if _holds_no_link(root, folders) else None
        if files is None or any(names_of_inode[file.inode] > 1 for file in files):
            return None
        groups.update({found.group_key: found for found in layout.claim(files).groups})
    return Listing(tuple(groups[key] for key in sorted(groups)), ()) if groups else None


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
