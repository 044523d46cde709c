"""What a directory convention answers: which files belong to which group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import ModelFile
from mm_core.domain.findings import Finding


@dataclass(frozen=True, slots=True)
class GroupFiles:
    """The files of one group, at most one of each role, in the order of their paths."""

    group_key: str
    files: tuple[ModelFile, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a layout recognised: groups in the order of their keys, findings, and the paths it took."""

    groups: tuple[GroupFiles, ...]
    findings: tuple[Finding, ...]
    paths: frozenset[str]


class Siblings(NamedTuple):
    """A group's key, and the names that its files would have in one folder."""

    group_key: str
    names: tuple[str, ...]


class Layout(Protocol):
    """A directory convention; it sees names, sizes and times, never contents."""

    name: str

    def claim(self, files: Sequence[ListedFile]) -> Claim:
        """Return the groups that ``files`` form under this convention."""

    def siblings(self, name: str) -> Siblings | None:
        """Return the group that a file of this name belongs to, None where the name is not of this convention."""
