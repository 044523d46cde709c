"""Versions: ``sentiment-fusion/v1.1.0/model.txt`` and what belongs to it, wherever below the root it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mm_core.artifacts.layouts.protocol import Claim, Siblings
from mm_core.artifacts.layouts.version_directories import claim_directories, holds_groups
from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole
from mm_core.domain.versions import ALL_FIVE, VersionLayout, VersionNumber

ROLES: dict[str, FileRole] = {name: role for role, name in ALL_FIVE.items()}
OF_VERSIONS_ALONE = {"model.txt", "normalizer.json"}
"""The names that nothing else than a version has in it."""


class Versions:
    """Directories such as ``v1.1.0`` that hold at least one of the five files; all below them is theirs."""

    name = "versions"

    def claim(self, files: Sequence[ListedFile]) -> Claim:
        """Return one version a directory."""
        return claim_directories(VersionLayout.VERSIONS, files, self.may_claim, _is_version, _role_of)

    def siblings(self, name: str) -> Siblings | None:
        """Return None: names alone make no version."""
        return None

    def may_claim(self, folder_name: str) -> bool:
        """Return whether a directory is named as a version."""
        return VersionNumber.parse(folder_name) is not None


def _is_version(names: Collection[str]) -> bool:
    known = ROLES.keys() & names
    return bool(known & OF_VERSIONS_ALONE) or (bool(known) and not holds_groups(names))


def _role_of(name: str) -> FileRole:
    return ROLES.get(name, FileRole.OTHER)
