"""Flat groups: files that share the name before a known suffix, wherever below the root they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from mm_core.artifacts.layouts.protocol import Claim, GroupFiles, Siblings
from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity

SUFFIXES: tuple[tuple[str, FileRole], ...] = (
    ("_factors.txt", FileRole.FACTORS),
    ("_ic.csv", FileRole.IC),
    ("_info.pkl", FileRole.INFO),
    ("_model.pkl", FileRole.MODEL_PICKLE),
    ("_model.json", FileRole.MODEL_JSON),
    ("_model.onnx", FileRole.MODEL_ONNX),
)


_FORMS = {FileRole.MODEL_JSON: FileRole.MODEL_PICKLE}
"""Roles that hold the same as another one."""


class FlatGroups:
    """``SOLUSDT_mid_chg_1m_factors.txt``, ``…_ic.csv``, ``…_info.pkl``, ``…_model.pkl|json|onnx``."""

    name = "flat-groups"

    def claim(self, files: Sequence[ListedFile]) -> Claim:
        """Return one group a key.

        Where a role, or a model in either form, is in several directories under one key, only the files of one
        directory are used (the one with most roles, then the first by name): files of two runs must never be mixed.
        """
        folders: dict[str, dict[str, list[ModelFile]]] = defaultdict(lambda: defaultdict(list))
        paths = set()
        endings = tuple(suffix for suffix, _ in SUFFIXES)
        for file in files:
            if not file.name.endswith(endings):
                continue
            for suffix, role in SUFFIXES:
                group_key = file.name.removesuffix(suffix)
                if group_key != file.name and group_key:
                    folder = file.path.removesuffix(file.name)
                    folders[group_key][folder].append(file.of_role(role))
                    paths.add(file.path)
        groups, findings = [], []
        for group_key in sorted(folders):
            chosen, problems = _without_mixing(group_key, folders[group_key])
            groups.append(GroupFiles(group_key, tuple(sorted(chosen, key=lambda file: file.path))))
            findings += problems
        return Claim(tuple(groups), tuple(findings), frozenset(paths))

    def siblings(self, name: str) -> Siblings | None:
        """Return the group that a file of this name belongs to."""
        for suffix, _ in SUFFIXES:
            group_key = name.removesuffix(suffix)
            if group_key != name and group_key:
                return Siblings(group_key, tuple(group_key + ending for ending, _ in SUFFIXES))
        return None

    def may_claim(self, folder_name: str) -> bool:
        """Return False: a folder's name says nothing of the groups in it."""
        return False


def _without_mixing(group_key: str, folders: dict[str, list[ModelFile]]) -> tuple[list[ModelFile], list[Finding]]:
    kinds = [{_FORMS.get(file.role, file.role) for file in listed} for listed in folders.values()]
    if len(set().union(*kinds)) == sum(map(len, kinds)):
        return [file for listed in folders.values() for file in listed], []
    best = min(folders, key=lambda folder: (-len(folders[folder]), folder))
    findings = [
        Finding(
            Severity.ERROR,
            "duplicate-group-key",
            file.path,
            f"Group key '{group_key}' has files of one kind in several directories; this one is not used, "
            f"those in '{best or '.'}' are.",
            "Keep one run of a group below the root.",
        )
        for folder, listed in sorted(folders.items())
        if folder != best
        for file in listed
    ]
    return folders[best], findings
