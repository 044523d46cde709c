"""Versions: ``sentiment-fusion/v1.1.0/model.txt`` and what belongs to it, wherever below the root it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from mm_core.artifacts.layouts.protocol import Claim, Siblings
from mm_core.artifacts.layouts.version_directories import claim_directories, holds_groups
from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.versions import ALL_FIVE, VersionLayout, VersionNumber

ROLES: dict[str, FileRole] = {name: role for role, name in ALL_FIVE.items()}
MODEL = ALL_FIVE[FileRole.BOOSTER_TEXT]
OF_VERSIONS_ALONE = {MODEL, ALL_FIVE[FileRole.NORMALIZER]}
"""The names that nothing else than a version has in it."""


class Versions:
    """Directories such as ``v1.1.0`` that hold at least one of the five files; all below them is theirs."""

    name = "versions"

    def claim(self, files: Sequence[ListedFile]) -> Claim:
        """Return one version a directory; a model in a directory that is called otherwise is found and left."""
        claim = claim_directories(VersionLayout.VERSIONS, files, self.may_claim, _is_version, _role_of)
        left = sorted(file.path for file in files if file.name == MODEL and file.path not in claim.paths)
        return replace(claim, findings=(*claim.findings, *map(_in_no_version, left)))

    def siblings(self, name: str) -> Siblings | None:
        """Return None: names alone make no version."""
        return None

    def may_claim(self, folder_name: str) -> bool:
        """Return whether a directory is named as a version."""
        return VersionNumber.parse(folder_name) is not None


def _in_no_version(path: str) -> Finding:
    return Finding(
        Severity.WARNING,
        "version-name",
        path,
        "A model as versions have it, in a directory of which the name is no version: nothing is made of it.",
        "Call the directory as v1.0.0, below one that has the model's name.",
    )


def _is_version(names: Collection[str]) -> bool:
    known = ROLES.keys() & names
    return bool(known & OF_VERSIONS_ALONE) or (bool(known) and not holds_groups(names))


def _role_of(name: str) -> FileRole:
    return ROLES.get(name, FileRole.OTHER)
