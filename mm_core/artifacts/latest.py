"""Which version ``latest`` names: a link beside the versions, or where there can be none a file with a name in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mm_core.artifacts.layouts import VersionFiles
from mm_core.artifacts.stable_file import read_stable
from mm_core.artifacts.tree import ListedFile, Tree, linked_directory
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.runs import LATEST, POINTER
from mm_core.errors import UnreadableArtifact

LONGEST_POINTER = 4096


@dataclass(frozen=True, slots=True)
class Pointers:
    """The version that ``latest`` names in each directory of versions, and where it names none."""

    latest: dict[str, str]
    findings: tuple[Finding, ...]


def find_latest(root: Path, tree: Tree, versions: Sequence[VersionFiles]) -> Pointers:
    """Return the path of the version that ``latest`` names, by the directory that it is in; a link wins over a file.

    A link to any other directory of the root, and a file beside versions that names none of them, are findings.
    """
    paths = {version.path for version in versions}
    folders = {path.rpartition("/")[0] for path in paths}
    latest: dict[str, str] = {}
    findings = []
    for folder, target in tree.latest.items():
        if target in paths and target.rpartition("/")[0] == folder:
            latest[folder] = target
        else:
            findings.append(linked_directory(_below(folder, LATEST)))
    for file in tree.files if folders else ():
        folder = file.path[: -len(POINTER) - 1]
        if file.name != POINTER or folder not in folders or folder in latest:
            continue
        named = _below(folder, _content(root, file))
        if named in paths:
            latest[folder] = named
        else:
            findings.append(
                Finding(
                    Severity.WARNING,
                    "broken-link",
                    file.path,
                    "The file names no version beside it.",
                    "Write the name of a version's directory into it, or remove it.",
                )
            )
    return Pointers(latest, tuple(findings))


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _content(root: Path, file: ListedFile) -> str:
    try:
        return read_stable(root, file.path, LONGEST_POINTER).decode("utf-8-sig").strip()
    except (UnreadableArtifact, UnicodeDecodeError):
        return ""
