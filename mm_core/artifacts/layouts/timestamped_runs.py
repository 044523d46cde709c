"""Training runs: ``20250724_150837/lstm_model.h5`` and what belongs to it, wherever below the root it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from mm_core.artifacts.layouts.protocol import Claim, Siblings, VersionFiles
from mm_core.artifacts.layouts.version_directories import claim_directories, holds_groups
from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.runs import LATEST, SCALERS, TRAINING_METADATA, RunId, model_of
from mm_core.domain.versions import VersionLayout

TELLING_ENDINGS = (".h5", ".pkl")
"""Formats of models that make a dated directory a run where it has no metadata."""


class TimestampedRuns:
    """Directories named by a time that hold metadata of a training, or models; all below them is theirs."""

    name = "timestamped-runs"

    def claim(self, files: Sequence[ListedFile]) -> Claim:
        """Return one version a directory.

        A directory `latest` beside runs that is one itself, and no link, is a copy of one of them: its files are taken
        too, and form nothing.
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
        return replace(claim, findings=tuple(map(_copied, copies)), paths=claim.paths | copied)

    def siblings(self, name: str) -> Siblings | None:
        """Return None: names alone make no run."""
        return None

    def may_claim(self, folder_name: str) -> bool:
        """Return whether a directory is named by a time that exists."""
        return RunId.parse(folder_name) is not None


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
