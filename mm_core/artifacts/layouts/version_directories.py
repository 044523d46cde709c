"""What versions and runs have in common: a directory of a telling name that holds a telling file is taken whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from mm_core.artifacts.layouts.protocol import Claim, VersionFiles
from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole
from mm_core.domain.versions import VersionLayout

COMPANIONS = ("_factors.txt", "_ic.csv", "_info.pkl")
"""Endings of files that stand beside the model of a flat group, and beside no other."""


def claim_directories(
    layout: VersionLayout,
    files: Sequence[ListedFile],
    is_named: Callable[[str], bool],
    is_version: Callable[[Collection[str]], bool],
    role_of: Callable[[str], FileRole],
) -> Claim:
    """Return each outermost directory of a name that ``is_named`` as a version, in the order of their paths.

    ``is_version`` is asked with the names of the files that are in it directly, ``role_of`` with one of these names;
    a file further below belongs to the version and has no role.
    """
    names_in: dict[str, set[str] | None] = {}
    for file in files:
        folder = file.path[: -len(file.name) - 1]
        if folder not in names_in:
            names_in[folder] = set() if is_named(folder.rpartition("/")[2]) else None
        names = names_in[folder]
        if names is not None:
            names.add(file.name)
    by_directory = _by_outermost({folder for folder, names in names_in.items() if names and is_version(names)}, files)
    versions = []
    for path, listed in sorted(by_directory.items()):
        around, _, version_id = path.rpartition("/")
        own = tuple(
            file.of_role(role_of(file.name) if file.path == f"{path}/{file.name}" else FileRole.OTHER)
            for file in sorted(listed, key=lambda file: file.path)
        )
        versions.append(VersionFiles(layout, around.rpartition("/")[2], version_id, path, own))
    paths = frozenset(file.path for version in versions for file in version.files)
    return Claim((), (), paths, tuple(versions))


def holds_groups(names: Collection[str]) -> bool:
    """Return whether files of these names beside each other are flat groups, whatever their directory is called."""
    return any(name.endswith(COMPANIONS) for name in names)


def _by_outermost(directories: set[str], files: Sequence[ListedFile]) -> Mapping[str, list[ListedFile]]:
    found: dict[str, list[ListedFile]] = {}
    if not directories:
        return found
    for file in files:
        end = file.path.find("/")
        while end > 0:
            if file.path[:end] in directories:
                found.setdefault(file.path[:end], []).append(file)
                break
            end = file.path.find("/", end + 1)
    return found
