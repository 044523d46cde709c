"""Training runs: ``20250724_150837/lstm_model.h5`` and what belongs to it, wherever below the root it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from mm_core.artifacts.layouts.protocol import Claim, Siblings, VersionFiles
from mm_core.artifacts.layouts.version_directories import COMPANIONS, claim_directories, holds_groups
from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.runs import LATEST, SCALERS, TRAINING_METADATA, RunId, model_of
from mm_core.domain.versions import VersionLayout

ENSEMBLE = "ensemble"
"""The directory beside runs in which trainings keep what they make of several models."""

TELLING_ENDINGS = (".h5", ".pkl")
"""Formats of models that make a dated directory a run where it has no metadata."""


class TimestampedRuns:
    """Directories named by a time that hold metadata of a training, or models; all below them is theirs."""

    name = "timestamped-runs"

    def claim(self, files: Sequence[ListedFile]) -> Claim:
        """Return one version a directory.

        A directory `latest` beside runs that is one itself, and no link, is a copy of one of them: its files are taken
        too, and form nothing. So are models beside runs, or in the directory `ensemble` beside them, that stand alone.
        """
        claim = claim_directories(VersionLayout.RUNS, files, self.may_claim, _is_run, _role_of)
        places = {version.path.rpartition("/")[0] for version in claim.versions}
        if not places:
            return claim
        copies = [
            version
            for version in claim_directories(VersionLayout.RUNS, files, LATEST.__eq__, _is_run, _role_of).versions
            if version.path.rpartition("/")[0] in places
        ]
        copied = frozenset(file.path for copy in copies for file in copy.files)
        taken = claim.paths | copied
        loose = _loose_models([file for file in files if file.path not in taken], places)
        findings = (*map(_copied, copies), *map(_loose, loose))
        return replace(claim, findings=findings, paths=taken | frozenset(loose))

    def siblings(self, name: str) -> Siblings | None:
        """Return None: names alone make no run."""
        return None

    def may_claim(self, folder_name: str) -> bool:
        """Return whether a directory is named by a time that exists."""
        return RunId.parse(folder_name) is not None


def is_beside_runs(folder: str, places: Collection[str]) -> bool:
    """Return whether models in a directory are of runs, which lie in ``places``, unless a group's files are with them.

    Paths are relative to the root, which is the empty text.
    """
    around, _, name = folder.rpartition("/")
    return folder in places or (name == ENSEMBLE and around in places)


def _loose_models(files: Sequence[ListedFile], places: Collection[str]) -> list[str]:
    """Return the paths of models that are beside runs and belong to none, nor to a group."""
    beside = [file for file in files if is_beside_runs(file.path[: -len(file.name) - 1], places)]
    paths = {file.path for file in beside}
    loose = []
    for file in beside:
        model = model_of(file.name)
        if model is not None:
            stem = file.path.removesuffix(file.name) + model[0]
            if not any(stem + ending in paths for ending in COMPANIONS):
                loose.append(file.path)
    return sorted(loose)


def _loose(path: str) -> Finding:
    return Finding(
        Severity.WARNING,
        "loose-run-model",
        path,
        "The model stands beside runs and belongs to none of them: it is not used.",
        "Move it into its run; if it is a group's, put its _factors.txt beside it, or move it below another directory.",
    )


def _copied(copy: VersionFiles) -> Finding:
    return Finding(
        Severity.WARNING,
        "latest-is-copy",
        copy.path,
        f"'{LATEST}' is a directory of its own beside runs, not a link to one: its files are not read.",
        f"Remove it and link the newest run: ln -s RUN {LATEST}",
    )


def _is_run(names: Collection[str]) -> bool:
    if TRAINING_METADATA in names:
        return True
    models = [name for name in names if name.endswith(TELLING_ENDINGS) and model_of(name) is not None]
    return bool(models) and not holds_groups(names)


def _role_of(name: str) -> FileRole:
    if name == TRAINING_METADATA:
        return FileRole.TRAINING_METADATA
    if name == SCALERS:
        return FileRole.SCALERS
    return FileRole.RUN_MODEL if model_of(name) is not None else FileRole.OTHER
