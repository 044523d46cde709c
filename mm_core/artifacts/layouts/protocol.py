"""What a directory convention answers: which files belong to which group or version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding
from mm_core.domain.versions import VersionLayout, VersionNumber


@dataclass(frozen=True, slots=True)
class GroupFiles:
    """The files of one group, at most one of each role, in the order of their paths."""

    group_key: str
    files: tuple[ModelFile, ...]

    @property
    def key(self) -> str:
        """What a listing knows it by."""
        return self.group_key


@dataclass(frozen=True, slots=True)
class VersionFiles:
    """All files below one version directory in the order of their paths, those that belong to no role included.

    ``model_name`` is the name of the directory around it, empty for the root.
    """

    layout: VersionLayout
    model_name: str
    version_id: str
    path: str
    files: tuple[ModelFile, ...]

    @property
    def key(self) -> str:
        """What a listing knows it by: no group has a slash in its key."""
        return version_key(self.path)

    @property
    def number(self) -> VersionNumber | None:
        """What the directory's name says of a version; None for a run."""
        return self.layout.number_in(self.version_id)

    def names_of(self, role: FileRole) -> tuple[str, ...]:
        """Return the files of a role, as paths below the version's directory."""
        return tuple(file.path.removeprefix(f"{self.path}/") for file in self.files if file.role is role)


Listed = GroupFiles | VersionFiles


def version_key(path: str) -> str:
    """Return what a listing knows the version in this directory by."""
    return f"{path}/"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a layout recognised: groups in the order of their keys, findings, the paths it took, and versions."""

    groups: tuple[GroupFiles, ...]
    findings: tuple[Finding, ...]
    paths: frozenset[str]
    versions: tuple[VersionFiles, ...] = ()


class Siblings(NamedTuple):
    """A group's key, and the names that its files would have in one folder."""

    group_key: str
    names: tuple[str, ...]


class Layout(Protocol):
    """A directory convention; it sees names, sizes and times, never contents."""

    name: str

    def claim(self, files: Sequence[ListedFile]) -> Claim:
        """Return the groups and versions that ``files``, all that no earlier layout took, form by this convention."""

    def siblings(self, name: str) -> Siblings | None:
        """Return the group that a file of this name belongs to, None where the name is not of this convention."""

    def may_claim(self, folder_name: str) -> bool:
        """Return whether the convention can take all that is below a directory of this name."""
