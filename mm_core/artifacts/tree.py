"""What a directory tree holds, listed without following anything out of it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.opening import open_directory
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.runs import LATEST
from mm_core.spelling import is_visible

MOST_OF_ONE_CODE = 200
UNREADABLE = "unreadable"
"""The finding that hides what may still be there."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A regular file: ``path`` relative to the root with POSIX separators."""

    path: str
    name: str
    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    def of_role(self, role: FileRole) -> ModelFile:
        """Return it as a file of a group or of a version."""
        return ModelFile(role, self.path, self.size_bytes, self.modified_ns, self.changed_ns, self.inode)


@dataclass(frozen=True, slots=True)
class Tree:
    """The regular files below a root in the order of their paths, and what was passed over.

    ``latest`` has the links of that name, by the directory that they are in (the root is the empty text), that lead to
    a directory below the root, and to which; they are no findings here.
    """

    files: tuple[ListedFile, ...]
    findings: tuple[Finding, ...]
    latest: Mapping[str, str]


def listed_file(path: str, name: str, status: os.stat_result) -> ListedFile:
    """Return a file as a listing tells it."""
    return ListedFile(path, name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def is_listed_name(name: str) -> bool:
    """Return whether an entry of this name is taken: UTF-8 text, every character of which is drawn."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return is_visible(name)


def list_tree(root: Path, limits: ReadingLimits) -> Tree:
    """Return every regular file below ``root``, a path without links; hidden entries are passed over in silence.

    Links to files inside the root count as files. Links that leave it, broken links, loops, FIFOs, sockets, devices,
    unreadable directories and names that are no text are findings. Raises ``OSError`` when the root itself cannot be
    listed.
    """
    walker = _Walker(root, limits)
    place = open_directory(walker.real_root)
    try:
        walker.take(_listed(place), place, "", 0)
    finally:
        os.close(place)
    walker.files.sort(key=lambda file: file.path)
    return Tree(tuple(walker.files), walker.report.findings(), walker.latest)


def linked_directory(path: str) -> Finding:
    """Return the finding of a link to a directory of the same root."""
    return Finding(
        Severity.INFO,
        "linked-directory",
        path,
        "A link to a directory of this root is not read twice.",
        "Nothing to do: its target is read where it is.",
    )


class _Walker:
    def __init__(self, root: Path, limits: ReadingLimits) -> None:
        self.real_root = os.path.abspath(root)
        self.limits = limits
        self.files: list[ListedFile] = []
        self.latest: dict[str, str] = {}
        self.report = _Report()
        self.seen = 0

    def take(self, entries: list[os.DirEntry[str]], place: int, folder: str, depth: int) -> None:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            self.seen += 1
            if self.seen > self.limits.tree_entries:
                if self.seen == self.limits.tree_entries + 1:
                    self._report(
                        "tree-too-large",
                        folder or ".",
                        "The tree has more entries than are read.",
                        "Register a smaller directory.",
                    )
                return
            path = folder + entry.name
            if not is_listed_name(entry.name):
                self._report(
                    "file-name",
                    path,
                    "The name is not UTF-8 text of visible characters.",
                    "Rename the file.",
                )
                continue
            try:
                self._take_entry(entry, place, path, depth)
            except OSError as error:
                self._report(
                    UNREADABLE, path, f"The entry cannot be looked at ({error.strerror}).", "Check its permissions."
                )

    def _take_entry(self, entry: os.DirEntry[str], place: int, path: str, depth: int) -> None:
        if entry.is_symlink():
            self._take_link(path, entry.name)
        elif entry.is_dir(follow_symlinks=False):
            self._descend(entry.name, place, path, depth)
        else:
            self._take_file(path, entry.name, entry.stat(follow_symlinks=False))

    def _take_link(self, path: str, name: str) -> None:
        link = os.path.join(self.real_root, path)
        try:
            target = os.path.realpath(link, strict=True)
            status = os.stat(target)
        except FileNotFoundError:
            self._report("broken-link", path, "The link points to nothing.", "Remove it or restore its target.")
            return
        except OSError:
            self._report("link-loop", path, "The link leads back to itself.", "Remove it.")
            return
        if os.path.commonpath([self.real_root, target]) != self.real_root:
            self._report(
                "link-leaves-root",
                path,
                "The link leads out of the registered root and is not followed.",
                "Copy the file below the root, or register the directory that holds it.",
            )
        elif stat.S_ISDIR(status.st_mode):
            if link.startswith(target + os.sep):
                self._report("link-loop", path, "The link leads to a directory that holds it.", "Remove it.")
            elif name == LATEST:
                self.latest[path[: -len(name) - 1]] = os.path.relpath(target, self.real_root)
            else:
                self.report.add(linked_directory(path))
        else:
            self._take_file(path, name, status)

    def _take_file(self, path: str, name: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            self._report("not-a-file", path, "This is a FIFO, socket or device and is never opened.", "Remove it.")
            return
        self.files.append(listed_file(path, name, status))

    def _descend(self, name: str, parent: int, path: str, depth: int) -> None:
        if depth + 1 > self.limits.tree_depth:
            self._report(
                "tree-too-deep",
                path,
                f"Directories below {self.limits.tree_depth} levels are not read.",
                "Move the artifacts up.",
            )
            return
        place = None
        try:
            place = open_directory(name, parent)
            self.take(_listed(place), place, path + "/", depth + 1)
        except OSError as error:
            self._report(
                UNREADABLE,
                path,
                f"The directory cannot be listed ({error.strerror}).",
                "Make it readable for the user of this service.",
            )
        finally:
            if place is not None:
                os.close(place)

    def _report(self, code: str, path: str, detail: str, remedy: str) -> None:
        self.report.add(Finding(Severity.WARNING, code, path, detail, remedy))


class _Report:
    """Findings of a tree; of one code `MOST_OF_ONE_CODE` are kept, the rest are counted."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._counts: Counter[str] = Counter()

    def add(self, finding: Finding) -> None:
        self._counts[finding.code] += 1
        if self._counts[finding.code] <= MOST_OF_ONE_CODE or finding.code == UNREADABLE:
            self._findings.append(finding)

    def findings(self) -> tuple[Finding, ...]:
        rest = {code: count - MOST_OF_ONE_CODE for code, count in self._counts.items() if code != UNREADABLE}
        return (
            *self._findings,
            *(
                Finding(Severity.WARNING, code, ".", f"{count:,} more of '{code}'.", "See the first.")
                for code, count in rest.items()
                if count > 0
            ),
        )


def _listed(place: int) -> list[os.DirEntry[str]]:
    with os.scandir(place) as entries:
        return sorted(entries, key=lambda entry: entry.name)
